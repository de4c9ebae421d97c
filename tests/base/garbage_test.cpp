// Whatever a file holds, parsers return a value or throw an Error; they never crash or hang.
#include <gtest/gtest.h>

#include <string>

#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "tests/support/mutate.h"
#include "tests/support/temp_dir.h"

namespace rung {
namespace {

constexpr uint64_t kVariants = 1000;

template <class Action>
void expect_value_or_error(Action action, const std::string& text) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_FALSE(std::string(error.what()).empty());
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not an Error: " << error.what() << "\n" << escape_for_terminal(text);
  }
}

TEST(Garbage, JsonGivesAValueOrAnError) {
  const std::string text =
      R"({"a": [1, -2.5e3, true, null, "é\u00e9\ud83d\ude00\n"], "b": {"c": {}, "d": []}, "e": 1})";
  for (uint64_t i = 0; i < kVariants; ++i) {
    const std::string variant = testing::mutate(text, i);
    expect_value_or_error([&] { parse_json(variant, "x"); }, variant);
  }
}

TEST(Garbage, ConfigurationsGiveAValueOrAnError) {
  const testing::TempDir dir;
  const std::string text =
      "base_model: m  # comment\n"
      "datasets:\n  - path: \"a b.jsonl\"\n    type: alpaca\n"
      "    message_property_mappings: {role: from}\n"
      "lora_target_modules: [q_proj, 'v_proj']\nbf16: true\nmemory_limit: 24GiB\n"
      "chat_template_jinja: |\n  {{ x }}\n  y\nlearning_rate: 2e-4\noutput_dir: o\n";
  for (uint64_t i = 0; i < kVariants; ++i) {
    const std::string variant = testing::mutate(text, i);
    const auto path = dir.write("c.yaml", variant);
    expect_value_or_error(
        [&] {
          load_run_config(path, {"datasets.0.path=b", "lora_r=4"});
        },
        variant);
  }
}

TEST(Garbage, OverridesGiveAValueOrAnError) {
  const testing::TempDir dir;
  const auto path = dir.write("c.yaml", "base_model: m\ndatasets: [{path: a}]\noutput_dir: o\n");
  const std::string text = "datasets.0.message_property_mappings={role: from, content: [value]}";
  for (uint64_t i = 0; i < kVariants; ++i) {
    const std::string variant = testing::mutate(text, i);
    expect_value_or_error([&] { load_run_config(path, {variant}); }, variant);
  }
}

}  // namespace
}  // namespace rung
