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

// "  name  type, default D\n      help\n"
template <class Value>
std::string describe_field(const FieldInfo& info, const Value& default_value) {
  std::string text = fmt::format("  {}: {}", info.name, describe_type(info, default_value));
  if (info.need == Need::kRequired) {
    text += "; required";
  } else {
    text += fmt::format("; default {}", write_value(default_value));
  }
  text += fmt::format("\n      {}\n", info.help);
  if (!info.aliases.empty()) text += fmt::format("      also read: {}\n", join(info.aliases, ", "));
  if (!info.value_aliases.empty()) {
    text += "      values also read:";
    std::string_view separator = " ";
    for (const ValueAlias& alias : info.value_aliases) {
      text += fmt::format("{}{} ({})", separator, alias.from, alias.to);
      separator = ", ";
    }
    text += "\n";
  }
  return text;
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
