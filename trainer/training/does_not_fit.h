// The answer where a plan does not fit into the memory: both figures, the limit's key and place,
// and what would help.
//
// The advice is planned, not guessed: each change of the configuration that could make the step
// smaller is tried by running the changed step on shapes, and the one that saves most comes first.
// What cannot help (a smaller micro-batch where it is 1 already) is not named.
#pragma once

#include <cstdint>
#include <string>

#include "training/run_plan.h"

namespace rung::training {

struct Misfit {
  std::string what;   // "a training step does not fit"
  int64_t peak = 0;   // bytes that it takes
  int64_t limit = 0;  // bytes that there are for tensors
  std::string hint;
};

// An Error kDoesNotFit; `config` tells where the limit comes from.
Error does_not_fit(const RunConfig& config, const Misfit& misfit);

// Which keys to change so that the step of `request` fits into its limit, with the bytes that it
// takes then; that no change is enough, where that is so; and the smallest GPU of the table
// (configs/gpus.yaml) on which it would fit as it is. One line.
std::string memory_advice(const PlanRequest& request);

}  // namespace rung::training
