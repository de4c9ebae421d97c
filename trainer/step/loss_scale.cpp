#include "step/loss_scale.h"

#include <cmath>

namespace rung::step {
namespace {

constexpr double kLargest = 0x1p60;  // of a float times a loss's gradient

}  // namespace

bool LossScale::is_sound(double value, int64_t clean_steps) {
  int exponent = 0;
  return value >= 1.0 && value <= kLargest && std::frexp(value, &exponent) == 0.5 &&
         clean_steps >= 0 && clean_steps < kGrowthInterval;
}

void LossScale::accept() {
  if (++clean_steps_ < kGrowthInterval) return;
  clean_steps_ = 0;
  if (value_ < kLargest) value_ *= 2.0;
}

bool LossScale::lower() {
  clean_steps_ = 0;
  if (value_ <= 1.0) return false;
  value_ /= 2.0;
  return true;
}

}  // namespace rung::step
