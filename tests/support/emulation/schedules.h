// The orders in which every kernel test runs its kernel. Results must not depend on them.
#pragma once

#include "tests/support/emulation/device.h"

namespace rung::emulation {

inline constexpr Schedule kSchedules[] = {
    {Order::kForward}, {Order::kReverse}, {Order::kRandom, 1}, {Order::kRandom, 2}};

}  // namespace rung::emulation
