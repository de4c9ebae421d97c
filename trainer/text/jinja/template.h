// A parsed template that can be rendered any number of times, from several threads at once.
//
// The language is jinja2's with transformers' extensions, minus everything that needs other
// templates or a file system. All errors are rung::Error kConfig with "name:line".
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

struct RenderResult {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generations;  // byte ranges of {% generation %} blocks
};

struct RenderOptions {
  std::optional<std::tm> now;  // what strftime_now sees; the local time where absent
  Limits limits;
};

using Variables = std::vector<std::pair<std::string, Value>>;

class Template {
 public:
  Template(std::string source, std::string name);

  RenderResult render(const Variables& variables, const RenderOptions& options) const;

  bool has_generation() const { return tree_.has_generation; }
  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::string name_;
  SyntaxTree tree_;
};

}  // namespace rung::text::jinja
