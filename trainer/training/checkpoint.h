// Everything a run needs to go on exactly where it stopped.
//
// A checkpoint is a folder checkpoints/step-000123 of output_dir, published atomically with a
// manifest of hashes. It holds
//
//   adapter_model.safetensors, adapter_config.json: the adapter, as PEFT loads it
//
//   optimizer.safetensors: both moments, of each adapter matrix; in 8 bits those of all as one
//
//   state.json: TrainerState
//
//   config.resolved.yaml: the configuration of its run
//
//   inputs.json: hashes of what its run reads (training/run_inputs.h)
//
// Dropout masks, shuffling and initialisation are functions of the seed and these numbers, so no
// generator is saved.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/publish.h"
#include "data/loader.h"
#include "fit/ladder.h"
#include "format/adapter.h"
#include "model/adapter.h"
#include "step/loss_scale.h"
#include "step/optimizer.h"
#include "training/run_inputs.h"

namespace rung::training {

// The complete state of the loop besides adapter and moments.
struct TrainerState {
  int64_t step = 0;           // optimizer steps done, skipped ones included
  int64_t num_updates = 0;    // steps that changed the adapter
  int64_t skipped_steps = 0;  // non-finite ones
  int64_t skipped_in_a_row = 0;
  int64_t evaluated_step = 0;  // the last step with an evaluation, 0 where there was none
  data::LoaderState loader;
  int64_t tokens_total = 0;
  double elapsed_seconds = 0.0;               // training time, earlier processes included
  std::optional<step::LossScale> loss_scale;  // fp16 only
  // Where memory has run out: the rungs that the run has climbed to since.
  std::optional<fit::StepSettings> climbed;
};

struct CheckpointContents {
  const model::Adapter& adapter;
  const format::AdapterConfig& adapter_config;
  const step::Optimizer& optimizer;
  const TrainerState& state;
  std::string resolved_config;  // YAML
  const InputHashes& inputs;
};

std::filesystem::path checkpoint_dir(const std::filesystem::path& output_dir, int64_t step);

// Writes and publishes the checkpoint of contents.state.step. Then removes those of later steps
// (damaged, or of a part of the run that is being done again) and the oldest ones beyond
// keep_at_most; at least two stay.
void save_checkpoint(const std::filesystem::path& output_dir, const CheckpointContents& contents,
                     int64_t keep_at_most);

// The checkpoints of a run, newest first, sound or not.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& output_dir);

// Checks every file of a checkpoint against its manifest, which must vouch for all that a resume
// reads. Throws Error kDamaged naming what is wrong.
std::vector<ManifestEntry> verify_checkpoint(const std::filesystem::path& dir);

// Fills adapter and optimizer, returns the state. Throws Error kDamaged where a hash, a shape or a
// number is wrong.
TrainerState load_checkpoint(const std::filesystem::path& dir, model::Adapter& adapter,
                             step::Optimizer& optimizer);

}  // namespace rung::training
