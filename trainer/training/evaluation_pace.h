// How long the evaluations take that a run has still to hold, for its ETA.
//
// Before one was held, from the speed of the steps: an evaluation is a forward pass, of which a
// step has one, a backward pass of about as many operations (frozen weights have no gradient) and
// another forward pass of the blocks that are recomputed (fit/step_flops.h).
#pragma once

#include <cstdint>
#include <optional>

namespace rung::training {

// When a run evaluates: each so many steps, and behind the last one.
struct EvaluationTimes {
  int64_t every = 0;  // 0: only at the end
  int64_t total_steps = 0;
};

// Evaluations that come behind the steps after `step`.
int64_t evaluations_after(int64_t step, const EvaluationTimes& times);

// What is known of the steps so far.
struct StepSpeed {
  double seconds = 0.0;
  int64_t tokens = 0;
  double recomputed_share = 0.0;  // of the blocks
};

class EvaluationPace {
 public:
  // num_tokens: of the validation data.
  explicit EvaluationPace(int64_t num_tokens) : num_tokens_(num_tokens) {}

  // One was held, and took so long.
  void add(double seconds) { measured_ = seconds; }
  // Expected of the next one; 0 where nothing is known.
  double seconds(const StepSpeed& speed) const;

 private:
  int64_t num_tokens_;
  std::optional<double> measured_;  // the last one: memory that ran short may have slowed it down
};

}  // namespace rung::training
