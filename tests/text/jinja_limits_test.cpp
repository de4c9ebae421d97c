// Hostile templates: every one must end in an Error or a text, soon and without overflowing.

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>

#include "base/error.h"
#include "base/json.h"
#include "tests/support/expect_error.h"
#include "text/jinja/template.h"

namespace rung::text::jinja {
namespace {

using rung::testing::expect_error;

std::string repeated(const std::string& text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

std::string render(const std::string& source, const Limits& limits = {}) {
  return Template(source, "t").render({}, {.now = std::nullopt, .limits = limits}).text;
}

void expect_refused(const std::string& words, const std::string& source) {
  expect_error(ExitCode::kConfig, words, [&] { render(source); });
}

TEST(JinjaLimits, StopTooManySteps) {
  expect_refused("steps",
                 "{% for a in range(99999) %}{% for b in range(99999) %}{{ a * b }}{% endfor %}"
                 "{% endfor %}");
}

TEST(JinjaLimits, StopEndlessRecursion) {
  expect_refused("endless recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}");
}

TEST(JinjaLimits, StopEndlessLoopRecursion) {
  expect_refused("endless recursion", "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}");
}

TEST(JinjaLimits, StopDoublingText) {
  expect_refused("grows over",
                 "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}"
                 "{% endfor %}");
}

TEST(JinjaLimits, StopDoublingLists) {
  expect_refused("items",
                 "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}"
                 "{% endfor %}");
}

TEST(JinjaLimits, StopListsThatShareThemselves) {
  expect_refused("items",
                 "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}"
                 "{% endfor %}{{ n.x == [n.x] }}");
}

TEST(JinjaLimits, StopRepetition) {
  expect_refused("grows over", "{{ 'ab' * 999999999999 }}");
  expect_refused("steps", "{{ [1] * 999999999999 }}");
  expect_refused("grows over", "{{ 'x'.center(99999999999) }}");
  expect_refused("grows over", "{{ 'x'|indent(99999999999) }}");
  expect_refused("too large", "{{ '%999999999d' % 1 }}");
}

TEST(JinjaLimits, StopDeepNestingOfValues) {
  expect_refused("levels deep",
                 "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}"
                 "{% endfor %}");
}

TEST(JinjaLimits, StopDeepNestingOfBoundMethods) {
  expect_refused("levels deep",
                 "{% set n = namespace(x=[]) %}{% for i in range(99999) %}"
                 "{% set n.x = [n.x].count %}{% endfor %}");
}

TEST(JinjaLimits, StopAFilterThatMapsItself) {
  expect_refused("endless recursion",
                 "{{ 'a'|map(" + repeated("'map', ", 3'000) + "'list')|list }}");
}

TEST(JinjaLimits, StopDeepSyntax) {
  expect_refused("levels deep", "{{ " + repeated("(", 100'000));
  expect_refused("levels deep", "{{ " + repeated("[", 100'000));
  expect_refused("levels deep", "{{ " + repeated("not ", 100'000));
  expect_refused("levels deep", "{{ " + repeated("-", 100'000));
  expect_refused("levels deep", "{{ 1" + repeated(" + 1", 100'000) + " }}");
  expect_refused("levels deep", "{{ a" + repeated(".a", 100'000) + " }}");
  expect_refused("levels deep", "{{ a" + repeated("|e", 100'000) + " }}");
  expect_refused("levels deep", "{{ " + repeated("1 if 1 else ", 50'000) + "1 }}");
  expect_refused("levels deep", repeated("{% if 1 %}", 10'000));
  expect_refused("deep", "{% set " + repeated("(", 10'000));
}

TEST(JinjaLimits, RefuseNumbersThatDoNotFit) {
  expect_refused("too large", "{{ 99999999999999999999 }}");
  expect_refused("integer overflow", "{{ 9223372036854775807 + 1 }}");
  expect_refused("integer overflow", "{{ -9223372036854775807 - 2 }}");
  expect_refused("integer overflow", "{{ 10 ** 19 }}");
  expect_refused("integer overflow", "{{ '99999999999999999999'|int }}");
}

TEST(JinjaLimits, TakeExtremeSlices) {
  EXPECT_EQ(render("{{ 'abc'[-9223372036854775807:9223372036854775807] }}"), "abc");
  EXPECT_EQ(render("{{ 'abc'[::9223372036854775807] }}"), "a");
  EXPECT_EQ(render("{{ 'abc'[::-9223372036854775807 - 1] }}"), "c");
}

// A circle of namespaces must neither be printed forever nor leak (checked by sanitizers).
TEST(JinjaLimits, StopPrintingCircles) {
  expect_refused("holds itself",
                 "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a }}");
}

TEST(JinjaLimits, DestroyLongChains) {
  EXPECT_EQ(render("{% set o = namespace() %}{% for i in range(99999) %}"
                   "{% set o.p = namespace(p=o.p) %}{% endfor %}ok"),
            "ok");
  EXPECT_EQ(render("{% set o = namespace() %}{% for i in range(99999) %}{% for x in [o.p] %}"
                   "{% set o.p = loop %}{% endfor %}{% endfor %}ok"),
            "ok");
  EXPECT_EQ(render("{% set o = namespace(p=0) %}{% for i in range(50000) %}{% set q = o.p %}"
                   "{% macro m() %}{{ q }}{% endmacro %}{% set o.p = m %}{% endfor %}ok"),
            "ok");
}

TEST(JinjaLimits, AreSetByTheCaller) {
  expect_error(ExitCode::kConfig, "more than 100 steps",
               [] { render("{% for i in range(99) %}x{% endfor %}", {.max_steps = 100}); });
  expect_error(ExitCode::kConfig, "grows over 10 bytes",
               [] { render("{{ 'abc' * 4 }}", {.max_text = 10}); });
}

TEST(JinjaLimits, RefuseSourceThatIsNotUtf8) { expect_refused("not UTF-8", "a\xff{{ 1 }}"); }

TEST(JinjaLimits, RefuseAVeryLongSource) {
  expect_refused("too long", std::string(size_t{2} << 20, 'x'));
}

// Damages a valid template a little and renders the result.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  std::string mutate(std::string source) {
    const size_t edits = 1 + random_() % 3;
    for (size_t i = 0; i < edits && !source.empty(); ++i) {
      const size_t at = random_() % source.size();
      switch (random_() % 4) {
        case 0:
          source[at] = static_cast<char>(source[at] ^ (1 << (random_() % 7)));
          break;
        case 1:
          source.resize(at);
          break;
        case 2:
          source.erase(at, 1 + random_() % 5);
          break;
        default:
          source.insert(at, kPieces[random_() % std::size(kPieces)]);
      }
    }
    return source;
  }

 private:
  static constexpr const char* kPieces[] = {
      "{{",   "}}", "{%", "%}", "{#", "-", "|",    "[",    "(",  ")",  "'",    "\"", " if ",
      " in ", "1",  ".",  ":",  "**", "~", "loop", " is ", "\\", "\n", "not ", ",",  "%"};
  std::mt19937_64 random_;
};

TEST(JinjaRobustness, MutatedTemplatesRenderOrFail) {
  const Json golden = read_json_file(RUNG_TEST_DATA "/golden/jinja/language.json");
  Variables variables;
  for (const auto& [name, value] : golden["context"].items())
    variables.emplace_back(name, Value::from_json(value));
  Mutator mutator(20240131);
  const auto start = std::chrono::steady_clock::now();
  size_t rendered = 0;
  size_t failed = 0;
  for (const auto& [group, tests] : golden["groups"].items()) {
    for (const Json& test : tests) {
      for (int round = 0; round < 20; ++round) {
        try {
          Template(mutator.mutate(test["source"]), "m")
              .render(variables, {.now = std::nullopt, .limits = {.max_steps = 200'000}});
          ++rendered;
        } catch (const Error&) {
          ++failed;
        }
      }
    }
  }
  EXPECT_GT(rendered, 1000u);
  EXPECT_GT(failed, 1000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::minutes(2));
}

}  // namespace
}  // namespace rung::text::jinja
