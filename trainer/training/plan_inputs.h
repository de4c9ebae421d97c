// What `rung plan` reads besides the configuration: the shape of the base model and the sizes of
// the examples. No weights are needed, and no tokenizer where the same data were counted before.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "base/run_config.h"
#include "base/user_cache.h"
#include "data/example_sizes.h"
#include "format/model_config.h"

namespace rung::training {

struct PlannedModel {
  format::ModelConfig config;
  std::optional<std::string> note;  // a line for the user, where the weights are not there
};

// Where weights are there, they are checked against config.json as a run would (nothing of their
// size is read); where there are none, config.json is taken at its word.
PlannedModel read_planned_model(const RunConfig& config);

// SHA-256 of everything that the sizes of the examples depend on: the contents of the data sets, of
// the tokenizer and of the template, the keys of the configuration, rung itself. Where files lie
// does not matter. Throws Error where one of them cannot be read.
std::string sizes_key(const RunConfig& config);

// The sizes of what load_run_data() (data/dataset.h) would return. From `cache`, where they were
// put by an earlier call; else the data are tokenised, and `log` is told how far that is. Throws
// Error as the tokenizer and load_run_data() do.
data::RunSizes load_sizes(const RunConfig& config, const format::ModelConfig& model,
                          const UserCache& cache, std::ostream& log);

// The folder of `cache` for the programs (base/user_cache.h).
inline constexpr const char* kSizesCache = "token-counts";

}  // namespace rung::training
