// The two dynamic 8-bit maps of bitsandbytes, and the codes of values by arithmetic.
//
// A map covers seven decades: of decade i in 0..6, 10^(i-7) .. 10^(i-6), it has the midpoints of N
// equal steps, N = 2^i with a sign and 2^(i+1) without. Besides it has 0 and 1 (and no -1).
//   signed:   codes 0 .. 126 negative, 127 is 0, 128 .. 254 positive, 255 is 1
//   unsigned: code 0 is 0, 1 .. 254 positive, 255 is 1
// Source: dynamic tree quantisation, https://arxiv.org/abs/2110.02861, part 2.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "kernels/simd.h"

namespace rung::kernels {

enum class MapSign { kSigned, kUnsigned };

inline constexpr uint8_t kSignedZeroCode = 127;
inline constexpr uint8_t kUnsignedZeroCode = 0;

// Values from `edge` up to the next row's have the index min(floor(x * scale + offset), last):
// the number of map values in (0, value(x)].
struct DynamicRow {
  float edge = 0.0f;
  float scale = 0.0f;
  float offset = 0.0f;
  float last = 0.0f;
};

inline constexpr int kDynamicRows = 9;  // 0, seven decades, 1

// How a map's codes are found: the first edge is 0, the others lie halfway between two values.
// Passed to CUDA kernels by value.
struct DynamicCoder {
  DynamicRow rows[kDynamicRows];

  constexpr explicit DynamicCoder(MapSign sign) {
    constexpr double kDecades[] = {1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0};
    int steps = sign == MapSign::kSigned ? 1 : 2;
    int first = 1;       // index of the decade's first value
    double below = 0.0;  // the last value before it
    for (int i = 0; i < 7; ++i) {
      const double width = 0.9 / steps;
      const double lowest = kDecades[i] * (0.1 + 0.5 * width);
      rows[i + 1] = {.edge = static_cast<float>(0.5 * (below + lowest)),
                     .scale = static_cast<float>(1.0 / (kDecades[i] * width)),
                     .offset = static_cast<float>(first - 0.1 / width),
                     .last = static_cast<float>(first + steps - 1)};
      below = kDecades[i] * (1.0 - 0.5 * width);
      first += steps;
      steps *= 2;
    }
    rows[8] = {.edge = static_cast<float>(0.5 * (below + 1.0)),
               .offset = static_cast<float>(first),
               .last = static_cast<float>(first)};
  }
};

inline std::array<float, 256> make_dynamic_map(MapSign sign) {
  std::array<float, 256> map = {};
  const bool is_signed = sign == MapSign::kSigned;
  const int zero = is_signed ? kSignedZeroCode : kUnsignedZeroCode;
  int positive = zero;
  for (int i = 0; i < 7; ++i) {
    const int steps = is_signed ? 1 << i : 2 << i;
    const float width = (1.0f - 0.1f) / static_cast<float>(steps);
    // From both ends and fused, as torch.linspace computes it.
    const auto boundary = [&](int k) {
      return 2 * k <= steps ? std::fma(width, static_cast<float>(k), 0.1f)
                            : std::fma(-width, static_cast<float>(steps - k), 1.0f);
    };
    const float decade = static_cast<float>(std::pow(10.0, i - 6));
    for (int k = 0; k < steps; ++k) {
      const float middle = decade * ((boundary(k) + boundary(k + 1)) / 2.0f);
      ++positive;
      map[positive] = middle;
      if (is_signed) map[2 * zero - positive] = -middle;
    }
  }
  map[255] = 1.0f;
  return map;
}

// The map [256], ascending, with the floats of bitsandbytes: they are stored in files.
inline const float* dynamic_map(MapSign sign) {
  static const std::array<float, 256> signed_map = make_dynamic_map(MapSign::kSigned);
  static const std::array<float, 256> unsigned_map = make_dynamic_map(MapSign::kUnsigned);
  return sign == MapSign::kSigned ? signed_map.data() : unsigned_map.data();
}

namespace cpu {

// Index of the map value nearest to x in [0, 1]; 0 for NaN. A value within float rounding of the
// middle of two may go to either. For functions that are RUNG_UNFUSED.
RUNG_INLINE int dynamic_index(float x, const DynamicCoder& coder) {
  DynamicRow row;
  for (int i = 1; i < kDynamicRows; ++i) {
    const bool is_above = x >= coder.rows[i].edge;
    row.scale = is_above ? coder.rows[i].scale : row.scale;
    row.offset = is_above ? coder.rows[i].offset : row.offset;
    row.last = is_above ? coder.rows[i].last : row.last;
  }
  const float index = x * row.scale + row.offset;
  return static_cast<int>(index < row.last ? index : row.last);
}

}  // namespace cpu
}  // namespace rung::kernels
