// The template language against jinja2 in transformers' set-up: tests/golden/jinja/language.json,
// written by scripts/make_jinja_golden.py.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "base/json.h"
#include "text/jinja/template.h"

namespace rung::text::jinja {
namespace {

const Json& golden() {
  static const Json kGolden = read_json_file(RUNG_TEST_DATA "/golden/jinja/language.json");
  return kGolden;
}

Variables context() {
  Variables variables;
  for (const auto& [name, value] : golden()["context"].items())
    variables.emplace_back(name, Value::from_json(value));
  variables.emplace_back("documents", Value());
  variables.emplace_back("add_generation_prompt", Value::boolean(false));
  return variables;
}

void expect_like_jinja2(const Json& test) {
  const std::string source = test["source"];
  SCOPED_TRACE(source);
  RenderResult result;
  try {
    result = Template(source, "test").render(context(), {});
  } catch (const Error& error) {
    EXPECT_TRUE(test.contains("raises")) << error.what();
    return;
  }
  ASSERT_FALSE(test.contains("raises"))
      << "must fail with " << test["raises"] << ", gives \"" << result.text << '"';
  if (!test.contains("text")) return;
  EXPECT_EQ(result.text, test["text"].get<std::string>());
  EXPECT_EQ(Json(result.generations), test["spans"]);
}

class JinjaLanguage : public ::testing::TestWithParam<const char*> {};

TEST_P(JinjaLanguage, RendersLikeJinja2) {
  const Json& tests = golden()["groups"][GetParam()];
  ASSERT_FALSE(tests.empty());
  for (const Json& test : tests) expect_like_jinja2(test);
}

INSTANTIATE_TEST_SUITE_P(Groups, JinjaLanguage,
                         ::testing::Values("literals", "printing", "arithmetic", "comparisons",
                                           "access", "string_methods", "filters_text",
                                           "filters_sequence", "tests", "whitespace", "statements",
                                           "generation", "lines"),
                         [](const auto& info) { return std::string(info.param); });

TEST(JinjaErrors, TellTheLineThatJinja2Tells) {
  for (const auto& [name, tests] : golden()["groups"].items()) {
    for (const Json& test : tests) {
      if (!test.contains("raises") || test["line"].is_null()) continue;
      const std::string source = test["source"];
      SCOPED_TRACE(source);
      try {
        Template(source, "test").render(context(), {});
        ADD_FAILURE() << "renders";
      } catch (const Error& error) {
        EXPECT_EQ(error.parts().where, fmt::format("test:{}", test["line"].get<int>()))
            << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace rung::text::jinja
