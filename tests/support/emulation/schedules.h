// The orders in which every kernel test runs its kernel. Results must not depend on them.
#pragma once

#include <span>

#include "tests/support/emulation/device.h"

namespace rung::emulation {

// Forward, reverse and two random ones. On a GPU (tests/gpu), which has an order of its own, one.
extern const std::span<const Schedule> kSchedules;

}  // namespace rung::emulation
