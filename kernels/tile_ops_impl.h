// The tile arithmetic of tile_ops.h for vectors of kLanes floats. Included by one source file
// per instruction set, after its target pragma; the instruction set is told apart by kLanes, so no
// two files share an instantiation.
//
// Products: blocks of kRows x (2 vectors) of c are held in registers over the whole of k, which
// needs 2 * kRows + 3 registers and 2 fused multiply-adds per broadcast of an element of a.
#pragma once

#include "kernels/simd.h"
#include "kernels/tile_ops.h"

namespace rung::kernels::cpu {

template <int kLanes, int kRows>
class TileArithmetic {
 public:
  static TileOps ops() {
    return {.panel_columns = kPair > kTileColumns ? kPair : kTileColumns,
            .multiply = multiply,
            .softmax = softmax,
            .softmax_gradient = softmax_gradient};
  }

 private:
  typedef float Vector __attribute__((vector_size(kLanes * 4)));
  typedef int32_t Integers __attribute__((vector_size(kLanes * 4)));

  static constexpr int kPair = 2 * kLanes;  // columns of a register block

  RUNG_INLINE static Vector load(const float* x) {
    Vector v;
    __builtin_memcpy(&v, x, sizeof(v));
    return v;
  }
  RUNG_INLINE static void store(float* x, const Vector& v) { __builtin_memcpy(x, &v, sizeof(v)); }

  // c [rows, vectors * kLanes] at (row, column) of the product.
  template <int rows, int vectors, TileLayout layout>
  static void multiply_block(const TileProduct& p, int64_t row, int64_t column) {
    Vector sum[rows][vectors];
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) sum[i][j] = Vector{};
    }
    constexpr bool by_rows = layout == TileLayout::kRows;
    const float* a = p.a + (by_rows ? row * p.a_stride : row);
    const int64_t a_stride = p.a_stride;
    const float* b = p.b + column;
    for (int64_t k = 0; k < p.k; ++k) {
      Vector b_values[vectors];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) b_values[j] = load(b + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
        const float a_value = by_rows ? a[i * a_stride] : a[i];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; ++j) sum[i][j] += a_value * b_values[j];
      }
      a += by_rows ? 1 : a_stride;
      b += p.b_stride;
    }
    float* c = p.c + row * p.c_stride + column;
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) {
        float* to = c + i * p.c_stride + j * kLanes;
        store(to, p.store == TileStore::kAdd ? load(to) + sum[i][j] : sum[i][j]);
      }
    }
  }

  // All rows of `vectors` vectors of columns.
  template <int vectors, TileLayout layout>
  static void multiply_columns(const TileProduct& p, int64_t column) {
    int64_t row = 0;
    for (; row + kRows <= p.m; row += kRows) multiply_block<kRows, vectors, layout>(p, row, column);
    for (; row + 4 <= p.m; row += 4) multiply_block<4, vectors, layout>(p, row, column);
    for (; row < p.m; ++row) multiply_block<1, vectors, layout>(p, row, column);
  }

  template <TileLayout layout>
  static void multiply_all(const TileProduct& p) {
    int64_t column = 0;
    for (; column + kPair <= p.n; column += kPair) multiply_columns<2, layout>(p, column);
    for (; column < p.n; column += kLanes) multiply_columns<1, layout>(p, column);
  }

  static void multiply(const TileProduct& p) {
    if (p.a_layout == TileLayout::kRows) {
      multiply_all<TileLayout::kRows>(p);
    } else {
      multiply_all<TileLayout::kColumns>(p);
    }
  }

  // 2^x for -100 <= x <= 0 (up to rounding); 2^-100 below: nothing beside a 1, and far enough from
  // denormal numbers, which are slow, for products with it. NaN for NaN. x = n + r with
  // |r| <= 1/2; the polynomial is the minimax one of degree 6 for the relative error (2e-9).
  RUNG_INLINE static Vector exp2(const Vector& x) {
    constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    const Vector lowest = Vector{} - 100.0f;
    const Vector clamped = x < lowest ? lowest : x;
    const Vector shifted = clamped + kRound;
    const Vector r = clamped - (shifted - kRound);
    Vector p = 0.00015353309f * r + 0.0013398939f;
    p = p * r + 0.0096184378f;
    p = p * r + 0.055503324f;
    p = p * r + 0.24022648f;
    p = p * r + 0.69314718f;
    p = p * r + 1.0f;
    const Integers exponent = ((Integers)shifted + 127) << 23;
    return p * (Vector)exponent;
  }

  RUNG_INLINE static float first_of(const Vector& v) {
    float lanes[kLanes];
    store(lanes, v);
    return lanes[0];
  }

  RUNG_INLINE static float largest_of(const Vector& v) {
    float lanes[kLanes];
    store(lanes, v);
#pragma GCC unroll 4
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) lanes[i] = larger(lanes[i], lanes[i + width]);
    }
    return lanes[0];
  }

  RUNG_INLINE static float sum_of(const Vector& v) {
    float lanes[kLanes];
    store(lanes, v);
#pragma GCC unroll 4
    for (int width = kLanes / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
    }
    return lanes[0];
  }

  // The standard library's functions would be compiled for this file's instruction set and might
  // replace those of other files when linked.
  RUNG_INLINE static float larger(float a, float b) { return a > b ? a : b; }
  RUNG_INLINE static int64_t clamped(int64_t x, int64_t high) {
    return x < 0 ? 0 : x > high ? high : x;
  }
  RUNG_INLINE static void fill(float* begin, float* end, float value) {
    for (float* x = begin; x < end; ++x) *x = value;
  }

  // The largest of scores [columns], of which the last ones from `visible` on become -infinity.
  RUNG_INLINE static float masked_max(float* scores, int64_t visible, int64_t columns) {
    fill(scores + visible, scores + columns, -__builtin_inff());
    constexpr int kVectors = kTileColumns / kLanes;
    Vector largest[kVectors];
    for (int j = 0; j < kVectors; ++j) largest[j] = load(scores + j * kLanes);
    for (int64_t i = kTileColumns; i < columns; i += kTileColumns) {
      for (int j = 0; j < kVectors; ++j) {
        const Vector value = load(scores + i + j * kLanes);
        largest[j] = value > largest[j] ? value : largest[j];
      }
    }
    for (int j = 1; j < kVectors; ++j) {
      largest[0] = largest[j] > largest[0] ? largest[j] : largest[0];
    }
    return largest_of(largest[0]);
  }

  // Replaces scores [columns] by 2^(score - max); returns their sum.
  RUNG_INLINE static float exponentiate(float* scores, int64_t columns, float max) {
    constexpr int kVectors = kTileColumns / kLanes;
    Vector sum[kVectors] = {};
    for (int64_t i = 0; i < columns; i += kTileColumns) {
      for (int j = 0; j < kVectors; ++j) {
        const Vector p = exp2(load(scores + i + j * kLanes) - max);
        sum[j] += p;
        store(scores + i + j * kLanes, p);
      }
    }
    for (int j = 1; j < kVectors; ++j) sum[0] += sum[j];
    return sum_of(sum[0]);
  }

  static void softmax(const TileSoftmax& t) {
    // All maxima first: the rows' chains of comparisons then overlap.
    float max[kTileMaxRows];
    for (int64_t row = 0; row < t.rows; ++row) {
      const int64_t visible = clamped(t.mask.visible(row), t.columns);
      const float before = t.max[row];
      max[row] = before;
      if (visible == 0) continue;
      max[row] = larger(masked_max(t.scores + row * t.score_stride, visible, t.columns), before);
    }
    for (int64_t row = 0; row < t.rows; ++row) {
      const int64_t visible = clamped(t.mask.visible(row), t.columns);
      float* scores = t.scores + row * t.score_stride;
      if (visible > 0) {
        const float sum = exponentiate(scores, t.columns, max[row]);
        const float before = t.max[row];
        if (max[row] != before) {
          const Vector factor = exp2(Vector{} + (before - max[row]));
          float* out = t.out + row * t.out_stride;
          for (int64_t i = 0; i < t.out_columns; i += kLanes) {
            store(out + i, load(out + i) * factor);
          }
          t.sum[row] *= first_of(factor);
          t.max[row] = max[row];
        }
        t.sum[row] += sum;
      }
      fill(scores + visible, scores + t.columns, 0.0f);
    }
  }

  static void softmax_gradient(const TileSoftmaxGradient& t) {
    for (int64_t row = 0; row < t.rows; ++row) {
      const int64_t visible = clamped(t.mask.visible(row), t.columns);
      float* scores = t.scores + row * t.stride;
      float* dp = t.dp + row * t.stride;
      const float lse = t.lse[row];
      const float dot = t.dot[row];
      for (int64_t i = 0; i < visible; i += kLanes) {
        const Vector p = exp2(load(scores + i) - lse);
        store(scores + i, p);
        store(dp + i, p * (load(dp + i) - dot));
      }
      fill(scores + visible, scores + t.columns, 0.0f);
      fill(dp + visible, dp + t.columns, 0.0f);
    }
  }
};

}  // namespace rung::kernels::cpu
