#include "base/config_spellings.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "base/config_known_keys.h"
#include "base/config_visitor.h"
#include "base/nearest_name.h"

namespace rung {
namespace {

struct Vocabulary {
  std::map<std::string_view, std::string_view> names;  // own names and aliases -> own names
  KnownKeys known;
};

template <class Config>
Vocabulary make_vocabulary(const std::vector<Field<Config>>& fields, KnownKeys known) {
  Vocabulary vocabulary{.names = {}, .known = known};
  for (const Field<Config>& field : fields) {
    vocabulary.names[field.info.name] = field.info.name;
    for (const std::string_view alias : field.info.aliases) {
      vocabulary.names[alias] = field.info.name;
    }
  }
  return vocabulary;
}

Vocabulary run_vocabulary() { return make_vocabulary(run_config_fields(), known_run_keys()); }

// rung's own name for the known spelling that is nearest to `key`, where one is near.
std::optional<std::string> nearest_key(std::string_view key, const Vocabulary& vocabulary) {
  std::vector<std::string_view> spellings;
  for (const auto& entry : vocabulary.names) spellings.push_back(entry.first);
  const std::optional<std::string_view> nearest = nearest_name(key, spellings);
  if (!nearest) return std::nullopt;
  return std::string(vocabulary.names.at(*nearest));
}

bool is_off(const ConfigNode& value, std::string_view off) {
  if (value.is_null()) return true;
  if (value.kind == ConfigNode::Kind::kList) {
    return std::all_of(value.items.begin(), value.items.end(),
                       [&](const ConfigNode& item) { return is_off(item, off); });
  }
  if (value.kind == ConfigNode::Kind::kMap) return value.entries.empty();
  const std::string text = lower_case(value.text);
  return text.empty() || text == "false" || text == "0" || (!off.empty() && text == off);
}

ErrorParts not_supported(const ConfigEntry& entry, std::string_view hint) {
  return {.what = fmt::format("{} is not supported yet", entry.spelling),
          .got = entry.value.quoted(),
          .hint = std::string(hint),
          .where = entry.where};
}

bool same_value(const ConfigNode& a, const ConfigNode& b) {
  return a.is_scalar() && b.is_scalar() && lower_case(a.text) == lower_case(b.text);
}

class Canonicalizer {
 public:
  Canonicalizer(const Vocabulary& vocabulary, SpellingReport report)
      : vocabulary_(vocabulary), report_(report) {}

  void run(ConfigNode& map) {
    std::vector<ConfigEntry> entries = std::move(map.entries);
    map.entries.clear();
    for (ConfigEntry& entry : entries) {
      if (keeps(entry)) add(map, std::move(entry));
    }
  }

 private:
  // Renames `entry`; false where it is dropped, with or without a word.
  bool keeps(ConfigEntry& entry) {
    if (const auto found = vocabulary_.names.find(entry.key); found != vocabulary_.names.end()) {
      if (found->first != found->second) {
        report_.notes.push_back(fmt::format("{} read as {}", entry.key, found->second));
      }
      entry.key = found->second;
      return true;
    }
    if (is_named(vocabulary_.known.pairs, entry.key)) return keeps_pair(entry);
    for (const UnbuiltKey& unbuilt : vocabulary_.known.unbuilt) {
      if (unbuilt.key != entry.key) continue;
      if (!is_off(entry.value, unbuilt.off)) {
        report_.errors.add(not_supported(entry, unbuilt.hint));
      }
      return false;
    }
    for (const IdleKey& idle : vocabulary_.known.idle) {
      if (idle.key != entry.key) continue;
      report_.notes.push_back(fmt::format("{} has no effect: {}", idle.key, idle.reason));
      return false;
    }
    const std::optional<std::string> nearest = nearest_key(entry.key, vocabulary_);
    report_.errors.add({.what = fmt::format("unknown key {}", entry.key),
                        .hint = nearest ? fmt::format("did you mean {}?", *nearest) : "",
                        .where = entry.where});
    return false;
  }

  static bool is_named(std::span<const PairAlias> pairs, const std::string& key) {
    return std::any_of(pairs.begin(), pairs.end(),
                       [&](const PairAlias& pair) { return pair.key == key; });
  }

  bool keeps_pair(ConfigEntry& entry) {
    if (entry.value.is_null()) return false;
    for (const PairAlias& pair : vocabulary_.known.pairs) {
      if (pair.key != entry.key || !entry.value.is_scalar() ||
          lower_case(entry.value.text) != pair.from) {
        continue;
      }
      if (pair.to_key.empty()) return false;
      report_.notes.push_back(
          fmt::format("{}: {} read as {}: {}", pair.key, pair.from, pair.to_key, pair.to));
      entry.key = pair.to_key;
      entry.value.text = pair.to;
      entry.value.is_quoted = false;
      return true;
    }
    report_.errors.add(not_supported(entry, ""));
    return false;
  }

  void add(ConfigNode& map, ConfigEntry entry) {
    const ConfigEntry* other = map.find(entry.key);
    if (other == nullptr) {
      map.entries.push_back(std::move(entry));
    } else if (!same_value(other->value, entry.value)) {
      report_.errors.add({.what = fmt::format("{} and {} set the same thing, {}, to two values",
                                              other->spelling, entry.spelling, entry.key),
                          .hint = fmt::format("the other is at {}", other->where),
                          .where = entry.where});
    }
  }

  const Vocabulary& vocabulary_;
  SpellingReport report_;
};

// axolotl's {role: from, content: value} in place of two keys.
void expand_property_mappings(ConfigNode& map) {
  ConfigEntry* found = map.find("message_property_mappings");
  if (found == nullptr || found->value.kind != ConfigNode::Kind::kMap) return;
  const ConfigEntry mappings = *found;
  std::erase_if(map.entries,
                [](const ConfigEntry& entry) { return entry.key == "message_property_mappings"; });
  for (ConfigEntry entry : mappings.value.entries) {
    entry.key = "message_property_" + entry.key;
    entry.spelling = "message_property_mappings." + entry.spelling;
    map.entries.push_back(std::move(entry));
  }
}

}  // namespace

void canonicalize_dataset_keys(ConfigNode& map, SpellingReport report) {
  expand_property_mappings(map);
  const Vocabulary vocabulary = make_vocabulary(dataset_fields(), known_dataset_keys());
  Canonicalizer(vocabulary, report).run(map);
}

void canonicalize_run_keys(ConfigNode& map, SpellingReport report) {
  const Vocabulary vocabulary = run_vocabulary();
  Canonicalizer(vocabulary, report).run(map);
  for (ConfigEntry& entry : map.entries) {
    if (entry.key != "datasets" && entry.key != "test_datasets") continue;
    for (ConfigNode& dataset : entry.value.items) canonicalize_dataset_keys(dataset, report);
  }
}

std::string canonical_run_key(const std::string& spelling) {
  const Vocabulary vocabulary = run_vocabulary();
  const auto found = vocabulary.names.find(spelling);
  return found == vocabulary.names.end() ? spelling : std::string(found->second);
}

std::optional<std::string> nearest_run_key(std::string_view spelling) {
  return nearest_key(spelling, run_vocabulary());
}

std::vector<std::string> unbuilt_run_keys() {
  std::vector<std::string> keys;
  for (const UnbuiltKey& key : known_run_keys().unbuilt.first(num_own_unbuilt_keys())) {
    keys.emplace_back(key.key);
  }
  return keys;
}

}  // namespace rung
