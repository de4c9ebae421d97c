// Division that rounds up.
#pragma once

#include <cstdint>

namespace rung::kernels {

// a is at least 0, b at least 1.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace rung::kernels
