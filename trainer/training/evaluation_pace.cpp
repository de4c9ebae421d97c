#include "training/evaluation_pace.h"

namespace rung::training {

int64_t evaluations_after(int64_t step, const EvaluationTimes& times) {
  if (step >= times.total_steps) return 0;
  if (times.every <= 0) return 1;
  const bool has_one_of_its_own = times.total_steps % times.every != 0;
  return times.total_steps / times.every - step / times.every + (has_one_of_its_own ? 1 : 0);
}

double EvaluationPace::seconds(const StepSpeed& speed) const {
  if (measured_) return *measured_;
  if (speed.tokens <= 0) return 0.0;
  const double forward_share = 1.0 / (2.0 + speed.recomputed_share);
  return static_cast<double>(num_tokens_) * speed.seconds / static_cast<double>(speed.tokens) *
         forward_share;
}

}  // namespace rung::training
