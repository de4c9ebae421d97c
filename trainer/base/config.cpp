// Reading a configuration: text -> tree -> own names -> overrides -> values -> checks.
#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "base/config_checks.h"
#include "base/config_node.h"
#include "base/config_overrides.h"
#include "base/config_spellings.h"
#include "base/config_values.h"
#include "base/config_visitor.h"
#include "base/files.h"

namespace rung {
namespace {

constexpr size_t kMaxConfigBytes = size_t{1} << 20;

enum class Required { kEnforced, kIgnored };

// A visitor that fills a Config from a map whose keys are canonical.
template <class Config>
class FieldReader {
 public:
  FieldReader(ConfigNode& map, Config& config, SpellingReport report, Required required)
      : map_(map), config_(config), report_(report), required_(required) {}

  template <class Value>
  void operator()(const FieldInfo& info, Value Config::*member) {
    ConfigEntry* entry = map_.find(info.name);
    if (entry == nullptr || entry->value.is_null()) {
      if (info.need == Need::kRequired && required_ == Required::kEnforced) {
        report_.errors.add({.what = fmt::format("{} is missing", info.name),
                            .hint = std::string(info.help),
                            .where = map_.where});
      }
      return;
    }
    explicit_keys_.insert(std::string(info.name));
    if constexpr (std::is_same_v<Value, std::vector<DatasetConfig>>) {
      read_datasets(info, *entry, config_.*member);
    } else {
      replace_alias(info, *entry);
      if (!read_value(entry->value, info, config_.*member)) {
        refuse(info, *entry, describe_type(info, config_.*member));
      }
    }
  }

  const std::set<std::string>& explicit_keys() const { return explicit_keys_; }

 private:
  void replace_alias(const FieldInfo& info, ConfigEntry& entry) {
    if (!entry.value.is_scalar()) return;
    for (const ValueAlias& alias : info.value_aliases) {
      if (lower_case(entry.value.text) != lower_case(alias.from)) continue;
      report_.notes.push_back(
          fmt::format("{}: {} read as {}", info.name, entry.value.text, alias.to));
      entry.value.text = alias.to;
      return;
    }
  }

  void refuse(const FieldInfo& info, const ConfigEntry& entry, const std::string& expected) {
    const bool is_unbuilt = entry.value.is_scalar() &&
                            std::find(info.unbuilt_values.begin(), info.unbuilt_values.end(),
                                      lower_case(entry.value.text)) != info.unbuilt_values.end();
    report_.errors.add({.what = is_unbuilt ? fmt::format("{}: {} is not supported yet",
                                                         entry.spelling, entry.value.quoted())
                                           : entry.spelling,
                        .got = is_unbuilt ? "" : entry.value.quoted(),
                        .expected = expected,
                        .where = entry.value.where});
  }

  void read_datasets(const FieldInfo& info, ConfigEntry& entry,
                     std::vector<DatasetConfig>& datasets) {
    if (entry.value.kind != ConfigNode::Kind::kList) {
      refuse(info, entry, describe_type(info, datasets));
      return;
    }
    for (ConfigNode& item : entry.value.items) {
      if (item.kind != ConfigNode::Kind::kMap) {
        report_.errors.add({.what = fmt::format("an entry of {}", info.name),
                            .got = item.quoted(),
                            .expected = "{path, type, ...}",
                            .where = item.where});
        continue;
      }
      DatasetConfig dataset;
      visit_fields(dataset_fields(),
                   FieldReader<DatasetConfig>(item, dataset, report_, Required::kEnforced));
      datasets.push_back(std::move(dataset));
    }
    if (info.need == Need::kRequired && entry.value.items.empty()) {
      report_.errors.add({.what = fmt::format("{} is empty", info.name),
                          .expected = describe_type(info, datasets),
                          .where = entry.where});
    }
  }

  ConfigNode& map_;
  Config& config_;
  SpellingReport report_;
  Required required_;
  std::set<std::string> explicit_keys_;
};

ConfigNode read_tree(const std::filesystem::path& yaml, ConfigErrors& errors) {
  const std::string text = read_text_file(yaml, kMaxConfigBytes);
  ConfigNode root = parse_config_text(text, yaml.string(), LineNumbers::kShown, errors);
  if (root.kind != ConfigNode::Kind::kMap && !root.is_null()) {
    throw Error(ExitCode::kConfig, {.what = "the configuration is no mapping of keys to values",
                                    .got = root.quoted(),
                                    .where = yaml.string()});
  }
  root.kind = ConfigNode::Kind::kMap;
  root.where = yaml.string();
  return root;
}

LoadedConfig load(ConfigNode root, const std::vector<std::string>& overrides, Required required,
                  ConfigErrors& errors) {
  LoadedConfig loaded;
  const SpellingReport report{.notes = loaded.notes, .errors = errors};
  canonicalize_run_keys(root, report);
  for (const std::string& override : overrides) apply_override(root, override, report);

  FieldReader<RunConfig> reader(root, loaded.config, report, required);
  visit_run_config(reader);
  loaded.explicit_keys = reader.explicit_keys();
  if (loaded.config.memory_limit > 0) {
    loaded.config.memory_limit_place = root.find("memory_limit")->value.where;
  }
  check_run_config(root, loaded, errors);
  errors.throw_if_any();
  return loaded;
}

}  // namespace

LoadedConfig load_run_config(const std::filesystem::path& yaml,
                             const std::vector<std::string>& overrides) {
  ConfigErrors errors;
  ConfigNode root = read_tree(yaml, errors);
  return load(std::move(root), overrides, Required::kEnforced, errors);
}

LoadedConfig default_run_config(const std::vector<std::string>& overrides) {
  ConfigErrors errors;
  ConfigNode root;
  root.kind = ConfigNode::Kind::kMap;
  root.where = "--set";
  return load(std::move(root), overrides, Required::kIgnored, errors);
}

}  // namespace rung
