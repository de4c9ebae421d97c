// Heads to rotate, with gaps behind the tokens, and what the reference makes of them.
#pragma once

#include <algorithm>

#include "kernels/rope.h"
#include "tests/reference/rope.h"
#include "tests/support/kernel_inputs.h"

namespace rung::testing {

inline constexpr int64_t kMaxPositions = 50;

struct RopeTable {
  std::vector<float> cos;  // [kMaxPositions, half]
  std::vector<float> sin;
};

inline RopeTable make_table(int64_t half) {
  RopeTable table;
  for (int64_t position = 0; position < kMaxPositions; ++position) {
    for (int64_t i = 0; i < half; ++i) {
      const double exponent = static_cast<double>(i) / static_cast<double>(half);
      const double angle = static_cast<double>(position) * std::pow(10000.0, -exponent);
      table.cos.push_back(static_cast<float>(std::cos(angle)));
      table.sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return table;
}

template <typename T>
struct RopeCase {
  RopeCase(int64_t tokens, int64_t heads, int64_t head_dim, int64_t gap)
      : shape{.tokens = tokens,
              .heads = heads,
              .head_dim = head_dim,
              .token_stride = heads * head_dim + gap},
        table(make_table(head_dim / 2)),
        x(random_values<T>(tokens * shape.token_stride, 1)) {
    for (int64_t t = 0; t < tokens; ++t) {
      positions.push_back(static_cast<int32_t>(t * 7 % kMaxPositions));
    }
  }

  kernels::RopeShape shape;
  RopeTable table;
  std::vector<T> x;
  std::vector<int32_t> positions;
};

inline double sign_of(kernels::RopeDirection direction) {
  return direction == kernels::RopeDirection::kForward ? 1.0 : -1.0;
}

template <typename T>
std::vector<double> reference_rope(const RopeCase<T>& c, kernels::RopeDirection direction) {
  std::vector<double> rotated = widen(c.x);
  const int64_t half = c.shape.head_dim / 2;
  for (int64_t t = 0; t < c.shape.tokens; ++t) {
    const int64_t row = c.positions[static_cast<size_t>(t)] * half;
    const auto angles = [&](const std::vector<float>& values) {
      return std::vector<double>(values.begin() + row, values.begin() + row + half);
    };
    for (int64_t h = 0; h < c.shape.heads; ++h) {
      const auto begin = rotated.begin() + t * c.shape.token_stride + h * c.shape.head_dim;
      std::ranges::copy(reference::rope({begin, begin + c.shape.head_dim}, angles(c.table.cos),
                                        angles(c.table.sin), sign_of(direction)),
                        begin);
    }
  }
  return rotated;
}

}  // namespace rung::testing
