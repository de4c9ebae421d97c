// Brings the keys of a configuration to rung's own names.
//
// Aliases of a field and other tools' key-value pairs ("bf16: true") are renamed and noted; keys
// that mean nothing to rung are dropped and noted; keys that are known but not built yet, unknown
// keys and two spellings of one key that disagree are errors.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config_node.h"

namespace rung {

struct SpellingReport {
  std::vector<std::string>& notes;
  ConfigErrors& errors;
};

// Renames the keys of `map` (the whole configuration), and those in its data sets.
void canonicalize_run_keys(ConfigNode& map, SpellingReport report);

// Renames the keys of one entry of `datasets`.
void canonicalize_dataset_keys(ConfigNode& map, SpellingReport report);

// rung's name for the key `spelling`; the same text where it is no alias.
std::string canonical_run_key(const std::string& spelling);

// rung's name for the key that `spelling`, perhaps mistyped, is nearest to; nothing where none is
// near.
std::optional<std::string> nearest_run_key(std::string_view spelling);

// The keys of the whole configuration that are "not supported yet", for the reference.
std::vector<std::string> unbuilt_run_keys();

}  // namespace rung
