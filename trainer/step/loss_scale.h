// Dynamic loss scaling, for fp16: its small gradients would vanish below 2^-24, so the loss is
// multiplied before the backward pass and the gradient divided after it. The largest scale that
// does not overflow changes with training and is found by trying. Source:
// https://arxiv.org/abs/1710.03740; the numbers are those of torch.amp.GradScaler.
#pragma once

#include <cstdint>

namespace rung::step {

// Always a power of two from 1 on: scaling and its inverse are exact unless a value leaves fp16's
// range.
class LossScale {
 public:
  static constexpr double kInitial = 65536.0;
  static constexpr int64_t kGrowthInterval = 2000;  // steps

  LossScale() = default;
  // A saved one. Both must be sound: is_sound().
  LossScale(double value, int64_t clean_steps) : value_(value), clean_steps_(clean_steps) {}
  static bool is_sound(double value, int64_t clean_steps);

  double value() const { return value_; }
  // Steps without an overflow since the last change.
  int64_t clean_steps() const { return clean_steps_; }

  // After a step whose gradient was finite: doubles once kGrowthInterval of them came in a row.
  void accept();
  // After an overflow: halves. False, and unchanged, where it is 1 already.
  bool lower();

 private:
  double value_ = kInitial;
  int64_t clean_steps_ = 0;
};

}  // namespace rung::step
