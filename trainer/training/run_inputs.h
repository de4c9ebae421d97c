// What a run reads besides its configuration, by content: a resumed run must find the same.
//
// Paths do not matter, contents do: a model or data folder may be moved between two processes of a
// run. Weights are gigabytes, so that of them only a fingerprint is taken: name, size, first and
// last MiB of every file that the model is read from (format/shards.h). Another model, or another
// revision of it, differs there; a single flipped bit in the middle is not seen.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/run_config.h"

namespace rung::training {

// SHA-256 by name; "absent" where there is no such file. Complete: besides these and the
// configuration, a run reads nothing that its result depends on.
//
//   base_model/config.json, base_model/model.safetensors.index.json, base_model/tokenizer.json,
//   base_model/tokenizer_config.json
//
//   base_model/tokenizer.model, base_model/special_tokens_map.json, base_model/added_tokens.json:
//   only where there is no tokenizer.json
//
//   base_model/weights: the fingerprint
//
//   chat_template: the text of the template in force; only where a data set needs one
//
//   datasets.0, datasets.1, ..., test_datasets.0, ...: the files
//
//   lora_model_dir/adapter_config.json, lora_model_dir/adapter_model.safetensors: only where set
using InputHashes = std::map<std::string, std::string>;

// Throws Error kConfig where the base model or a template that a data set needs is not there.
InputHashes hash_inputs(const RunConfig& config);

// Those of them that the examples come from: config.json, the tokenizer, the template, the data
// sets. Throws as hash_inputs() does.
InputHashes hash_data_inputs(const RunConfig& config);

// The names whose hash differs, or that only one side has; those of data sets with the path that
// `now` has for them: "datasets.0 (mine.jsonl)".
std::vector<std::string> changed_inputs(const InputHashes& saved, const InputHashes& now,
                                        const RunConfig& now_config);

// The file of the inputs in a checkpoint.
inline constexpr const char* kInputsFile = "inputs.json";

void write_inputs(const std::filesystem::path& checkpoint, const InputHashes& inputs);

// Throws Error: kConfig where `checkpoint` has none (rung did not write them once), kDamaged where
// they are not sound.
InputHashes read_inputs(const std::filesystem::path& checkpoint);

}  // namespace rung::training
