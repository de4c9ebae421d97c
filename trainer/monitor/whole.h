// Figures that are whole, of bytes, tokens or steps, from sums and slopes that may be anything.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace rung::monitor {

// The largest whole number that a record may say; double holds all up to it, and sums of a thousand
// of them fit into int64_t.
inline constexpr int64_t kMostOfARecord = int64_t{1} << 53;

// `value` without its fraction, 0 of what is no number; beyond what int64_t holds its nearest end.
inline int64_t whole(double value) {
  constexpr double kBound = 0x1p62;
  return std::isnan(value) ? 0 : static_cast<int64_t>(std::clamp(value, -kBound, kBound));
}

}  // namespace rung::monitor
