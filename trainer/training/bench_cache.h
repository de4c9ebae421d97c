// The speed that `rung bench` found, remembered for the times of `rung plan`.
//
// It holds for one device, number of threads, shape of model, base and dtype; rank, batch and
// recomputed blocks change the number of operations more than their rate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/user_cache.h"
#include "training/bench.h"

namespace rung::training {

// The folder of the cache for the programs (base/user_cache.h).
inline constexpr const char* kBenchCache = "bench";

// What a speed is the speed of.
struct BenchSubject {
  std::string device;
  int64_t num_threads = 0;
  const format::ModelConfig& model;
  model::BaseFormat base = model::BaseFormat::kNf4;
  c10::ScalarType compute = c10::kFloat;
};

struct BenchedSpeed {
  double flops_per_second = 0.0;  // of training steps
  std::string day;                // of the measurement: "2026-11-26"
  int64_t step_tokens = 0;        // what the steps had
};

// Under a name that is a hash of the subject: what bench_json() prints, with the day. What steps of
// more tokens found stays: short ones run below a model's speed.
void remember_bench(const UserCache& cache, const BenchResult& result);

// Nothing where that subject was never measured.
std::optional<BenchedSpeed> remembered_speed(const UserCache& cache, const BenchSubject& subject);

// FLOP/s of the training steps in what bench_json() returned; nothing where it has no figure.
std::optional<double> speed_in(const Json& bench);

}  // namespace rung::training
