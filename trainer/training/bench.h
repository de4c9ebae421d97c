// Training steps that are timed and then forgotten: tokens a second, memory, and how much of the
// device's matrix multiplication they reach.
//
// What runs is what `rung train` runs: the same plan under the same limit, the same step. Random
// weights are made piece by piece where they stay, and so need no more memory than those of a real
// run.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "base/run_config.h"
#include "fit/gemm_rate.h"
#include "fit/step_flops.h"
#include "training/bench_setup.h"

namespace rung::training {

// Bytes. On a CPU what is held for tensors is what they take, on a GPU what LibTorch's allocator
// has reserved for them. planned_peak is to be compared with held_peak; on a GPU it has the page
// tables of pinned memory as well, a 512th of that.
struct BenchMemory {
  int64_t limit = 0;
  int64_t planned_peak = 0;
  int64_t held_peak = 0;
  int64_t tensor_peak = 0;        // of the steps
  int64_t load_peak = 0;          // of tensors, while weights were read or made
  int64_t process = 0;            // the whole process: context, libraries, kernels, allocator
  int64_t num_alloc_retries = 0;  // how often LibTorch's allocator ran dry during the steps
};

struct BenchResult {
  RunConfig config;   // resolved, with the device it ran on
  std::string model;  // name of the shape, or of the model's folder
  format::ModelConfig shape;
  std::string device;
  int64_t num_threads = 0;
  model::BaseFormat base = model::BaseFormat::kNf4;
  c10::ScalarType compute = c10::kFloat;  // dtype of activations
  c10::ScalarType gemm = c10::kFloat;     // dtype that matrices are multiplied in
  int64_t num_blocks = 0;
  int64_t num_recomputed = 0;
  int64_t num_weights = 0;     // of the base model
  int64_t num_parameters = 0;  // of the adapter
  double load_seconds = 0.0;
  int64_t num_warmup = 0;       // steps before the timed ones
  int64_t tokens = 0;           // of a step
  std::vector<double> seconds;  // of each timed step
  double loss = 0.0;            // of the last one
  fit::StepFlops flops;         // of a step
  fit::GemmRate gemm_rate;      // in the same precision, after the steps
  BenchMemory memory;
};

// Progress goes to `log`. Throws Error: what set_up_bench throws, and kDiverged where a step is not
// finite.
BenchResult bench(const BenchRequest& request, std::ostream& log);

}  // namespace rung::training
