#include "text/jinja/template.h"

#include <fmt/format.h>

#include "base/error.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/failure.h"
#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"
#include "text/jinja/unicode.h"

namespace rung::text::jinja {
namespace {

constexpr size_t kMaxSource = size_t{1} << 20;  // bytes

SyntaxTree parse_source(const std::string& source, const std::string& name) {
  if (source.size() > kMaxSource) {
    throw Error(ExitCode::kConfig, {.what = "the chat template is too long",
                                    .got = fmt::format("{} bytes", source.size()),
                                    .expected = fmt::format("at most {}", kMaxSource),
                                    .hint = {},
                                    .where = name});
  }
  if (!is_valid_utf8(source)) {
    throw Error(ExitCode::kConfig, {.what = "the chat template is not UTF-8 text",
                                    .got = {},
                                    .expected = {},
                                    .hint = {},
                                    .where = name});
  }
  try {
    return parse(source);
  } catch (const SyntaxFailure& failure) {
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("the chat template cannot be read: {}", failure.what()),
                 .got = {},
                 .expected = {},
                 .hint = {},
                 .where = fmt::format("{}:{}", name, failure.line)});
  }
}

}  // namespace

Template::Template(std::string source, std::string name)
    : source_(std::move(source)), name_(std::move(name)), tree_(parse_source(source_, name_)) {}

RenderResult Template::render(const Variables& variables, const RenderOptions& options) const {
  Runtime runtime(options.limits, options.now);
  Evaluator evaluator(runtime, variables);
  try {
    evaluator.run(tree_);
  } catch (const Failure& failure) {
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("the chat template fails: {}", failure.what()),
                 .got = {},
                 .expected = {},
                 .hint = {},
                 .where = fmt::format("{}:{}", name_, evaluator.line())});
  }
  return {evaluator.output(), evaluator.generations()};
}

}  // namespace rung::text::jinja
