// Loads a configuration from text, for tests.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "tests/support/temp_dir.h"

namespace rung::testing {

// The keys that every configuration needs.
inline const std::string kMinimalConfig =
    "base_model: models/tiny\n"
    "datasets:\n"
    "  - path: train.jsonl\n"
    "output_dir: out\n";

// Loads `text` from a file c.yaml.
inline LoadedConfig load_text(const std::string& text,
                              const std::vector<std::string>& overrides = {}) {
  const TempDir dir;
  return load_run_config(dir.write("c.yaml", text), overrides);
}

// Loads the minimal configuration with `more` lines behind it (line 5 is its first).
inline LoadedConfig load_with(const std::string& more,
                              const std::vector<std::string>& overrides = {}) {
  return load_text(kMinimalConfig + more, overrides);
}

}  // namespace rung::testing
