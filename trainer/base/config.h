// Loading, printing and comparing the configuration of a run (base/run_config.h).
//
// YAML with flat snake_case keys. Unknown and duplicate keys, values of the wrong type or out of
// range and contradictions are errors; all of them are shown at once, each with file and line.
// Spellings of axolotl, Hugging Face, TRL, LLaMA-Factory and torchtune for the same thing are
// accepted and reported as notes.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/run_config.h"

namespace rung {

struct LoadedConfig {
  RunConfig config;
  std::vector<std::string> notes;       // one line each: "per_device_train_batch_size read as ..."
  std::set<std::string> explicit_keys;  // what the file or an override sets, by rung's own names
};

// Reads `yaml`, applies `overrides` ("key=value", value in YAML; "datasets.0.path=x" reaches into
// lists) and checks the result. Throws Error kConfig with every problem found.
LoadedConfig load_run_config(const std::filesystem::path& yaml,
                             const std::vector<std::string>& overrides);

// The defaults with `overrides` alone, for what needs no file: no key is required.
LoadedConfig default_run_config(const std::vector<std::string>& overrides);

// Every key with its value; load_run_config of this text gives `config` again.
std::string dump_resolved_yaml(const RunConfig& config);

// Every key with type, range, default and meaning (`rung help config`).
std::string config_reference();

// The names of the keys in which `a` and `b` differ, in the order of the reference.
std::vector<std::string> changed_keys(const RunConfig& a, const RunConfig& b);

}  // namespace rung
