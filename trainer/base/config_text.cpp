// Writing a configuration: the resolved YAML, the reference of all keys, the keys that differ.
#include <fmt/format.h>

#include <string_view>
#include <type_traits>

#include "base/config.h"
#include "base/config_spellings.h"
#include "base/config_values.h"
#include "base/config_visitor.h"

namespace rung {
namespace {

constexpr size_t kReferenceWidth = 96;  // columns

// `text` in lines of at most kReferenceWidth columns, broken at spaces and indented.
std::string wrap(std::string_view text) {
  constexpr std::string_view kIndent = "\n      ";
  constexpr size_t kRoom = kReferenceWidth - 6;
  std::string wrapped;
  while (text.size() > kRoom) {
    const size_t space = text.rfind(' ', kRoom);
    if (space == std::string_view::npos) break;
    wrapped += fmt::format("{}{}", kIndent, text.substr(0, space));
    text.remove_prefix(space + 1);
  }
  return wrapped + fmt::format("{}{}", kIndent, text);
}

// "  name: type; default D", then help and other spellings in indented lines.
template <class Value>
std::string describe_field(const FieldInfo& info, const Value& default_value) {
  std::string text = fmt::format("  {}: {}", info.name, describe_type(info, default_value));
  if (info.need == Need::kRequired) {
    text += "; required";
  } else {
    text += fmt::format("; default {}", info.default_text.empty() ? write_value(default_value)
                                                                  : std::string(info.default_text));
  }
  text += wrap(info.help);
  if (!info.aliases.empty()) text += wrap("also read: " + join(info.aliases, ", "));
  if (!info.value_aliases.empty()) {
    std::string values = "values also read:";
    for (const ValueAlias& alias : info.value_aliases) {
      values += fmt::format("{}{} ({})", values.ends_with(':') ? " " : ", ", alias.from, alias.to);
    }
    text += wrap(values);
  }
  return text + "\n";
}

}  // namespace

std::string dump_resolved_yaml(const RunConfig& config) {
  std::string text;
  visit_run_config([&](const FieldInfo& info, auto member) {
    const std::string value = write_value(config.*member);
    text += fmt::format("{}:{}{}\n", info.name, value.starts_with('\n') ? "" : " ", value);
  });
  return text;
}

std::string config_reference() {
  const RunConfig defaults;
  std::string text =
      "Keys of a configuration file (YAML); each can be changed by --set key=value.\n";
  visit_run_config([&](const FieldInfo& info, auto member) {
    if (!info.section.empty()) text += fmt::format("\n{}\n", info.section);
    text += describe_field(info, defaults.*member);
  });
  text += "\nKeys of an entry of datasets and test_datasets\n";
  const DatasetConfig dataset;
  visit_fields(dataset_fields(), [&](const FieldInfo& info, auto member) {
    text += describe_field(info, dataset.*member);
  });
  text += "\nNot supported yet\n";
  for (const std::string& key : unbuilt_run_keys()) text += fmt::format("  {}\n", key);
  return text;
}

std::vector<std::string> changed_keys(const RunConfig& a, const RunConfig& b) {
  std::vector<std::string> keys;
  visit_run_config([&](const FieldInfo& info, auto member) {
    if (write_value(a.*member) != write_value(b.*member)) keys.emplace_back(info.name);
  });
  return keys;
}

}  // namespace rung
