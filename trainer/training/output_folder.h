// What a run keeps in its output_dir besides checkpoints: taking the folder over, and the adapter
// that it publishes in the end.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/metrics.h"
#include "base/run_config.h"
#include "format/adapter.h"

namespace rung::training {

// Throws Error kConfig where output_dir would overwrite the adapter in lora_model_dir, which must
// outlive the run: every resume reads it again.
void check_output_dir(const RunConfig& config);

// Throws Error kConfig where `dir` is the output_dir of a run that has not published its adapter
// (yet): how it ended, how it goes on, and the newest sound checkpoint, which is an adapter folder
// as well. Says nothing about any other folder.
void refuse_unfinished_run(const std::filesystem::path& dir);

// Removes adapter, checkpoints, metrics and records of an earlier run: the next resume, or a reader
// of the folder, would take them for this run's.
void discard_previous_run(const std::filesystem::path& output_dir);

// Makes the folder that of an unfinished run which goes on behind `position`: no run.json, later
// rows of metrics.jsonl cut, the configuration written down. Called once the run is known to be
// able to start.
void open_run_folder(const RunConfig& config, const MetricsPosition& position);

// Writes the adapter beside its final names and moves it there; returns SHA-256 by file name.
std::map<std::string, std::string> publish_adapter(const std::filesystem::path& output_dir,
                                                   const format::AdapterFolder& adapter);

}  // namespace rung::training
