// Operands, results and the reference of a matrix product (kernels/gemm.h).
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "tests/support/kernel_inputs.h"

namespace rung::testing {

// How an operand lies in memory: its rows or its columns side by side, with gaps between them.
enum class Side { kRows, kColumns };

struct GemmLayout {
  Side a = Side::kRows;
  Side b = Side::kRows;

  // That of dot products, which few rows have a path of their own for.
  bool has_rows_and_columns() const { return a == Side::kRows && b == Side::kColumns; }
};

inline std::string name_of(const GemmLayout& layout) {
  const auto name = [](Side side) { return side == Side::kRows ? "rows" : "columns"; };
  return std::string("a ") + name(layout.a) + ", b " + name(layout.b);
}

inline constexpr GemmLayout kGemmLayouts[] = {{Side::kRows, Side::kRows},
                                              {Side::kRows, Side::kColumns},
                                              {Side::kColumns, Side::kRows},
                                              {Side::kColumns, Side::kColumns}};

inline constexpr int64_t kGemmGap = 3;

// The same elements on either side.
template <typename T>
struct GemmMatrix {
  std::vector<T> values;
  kernels::cpu::GemmOperand<T> view;

  GemmMatrix(int64_t rows, int64_t columns, Side side, uint64_t seed) {
    const int64_t lines = side == Side::kRows ? rows : columns;
    const int64_t stride = (side == Side::kRows ? columns : rows) + kGemmGap;
    values.assign(static_cast<size_t>(lines * stride), kernels::from_float<T>(NAN));
    view = {values.data(), side == Side::kRows ? stride : 1, side == Side::kRows ? 1 : stride};
    const std::vector<T> elements = random_values<T>(rows * columns, seed);
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        at(i, j) = elements[static_cast<size_t>(i * columns + j)];
      }
    }
  }
  GemmMatrix(const GemmMatrix&) = delete;
  GemmMatrix& operator=(const GemmMatrix&) = delete;

  T& at(int64_t i, int64_t j) { return values[index(i, j)]; }
  const T& at(int64_t i, int64_t j) const { return values[index(i, j)]; }

 private:
  size_t index(int64_t i, int64_t j) const {
    return static_cast<size_t>(i * view.row_stride + j * view.column_stride);
  }
};

template <typename T, typename Out>
struct GemmCase {
  kernels::cpu::GemmShape shape;
  GemmLayout layout;
  float alpha;
  kernels::cpu::GemmStore store;
  GemmMatrix<T> a;
  GemmMatrix<T> b;
  int64_t stride;
  std::vector<Out> c;

  GemmCase(const kernels::cpu::GemmShape& s, const GemmLayout& l, float factor,
           kernels::cpu::GemmStore how)
      : shape(s),
        layout(l),
        alpha(factor),
        store(how),
        a(s.m, s.k, l.a, 1),
        b(s.k, s.n, l.b, 2),
        stride(s.n + kGemmGap),
        c(random_values<Out>(s.m * stride, 3)) {}

  // c after the product, in double; the gaps as they are.
  std::vector<double> expected() const {
    std::vector<double> result = widen(c);
    for (int64_t i = 0; i < shape.m; ++i) {
      for (int64_t j = 0; j < shape.n; ++j) {
        double sum = 0.0;
        for (int64_t l = 0; l < shape.k; ++l) sum += as_double(a.at(i, l)) * as_double(b.at(l, j));
        double& to = result[static_cast<size_t>(i * stride + j)];
        to = (store == kernels::cpu::GemmStore::kAdd ? to : 0.0) + alpha * sum;
      }
    }
    return result;
  }

  // c after multiply(shape, alpha, a, b, c), which is gemm() or does the same.
  template <typename Multiply>
  std::vector<Out> after(const Multiply& multiply) const {
    std::vector<Out> result = c;
    multiply(shape, alpha, a.view, b.view,
             kernels::cpu::GemmResult<Out>{result.data(), stride, store});
    return result;
  }

  std::vector<Out> run() const { return after(kernels::cpu::gemm<T, Out>); }

  // A sum of k products of order one: float errors grow with it.
  Tolerance tolerance() const {
    Tolerance result = Tolerances<Out>::kSum;
    result.absolute = 1e-6 * std::sqrt(static_cast<double>(shape.k)) * 4.0;
    return result;
  }

  // Whether `got` is the product, and its gaps are c's to the bit.
  void check(const std::vector<Out>& got) const {
    SCOPED_TRACE(::testing::Message() << shape.m << " x " << shape.n << " x " << shape.k << ", "
                                      << name_of(layout) << ", alpha " << alpha
                                      << (store == kernels::cpu::GemmStore::kAdd ? ", added" : ""));
    EXPECT_TRUE(close(got, expected(), tolerance()));
    for (int64_t i = 0; i < shape.m; ++i) {
      const auto gap = static_cast<size_t>(i * stride + shape.n);
      for (size_t j = gap; j < gap + kGemmGap; ++j) ASSERT_EQ(as_double(got[j]), as_double(c[j]));
    }
  }
};

// For typed tests: operands of T, results of Out.
template <typename T, typename Out>
struct GemmTypes {
  using In = T;
  using Result = Out;
};
using AllGemmTypes =
    ::testing::Types<GemmTypes<kernels::bf16, kernels::bf16>, GemmTypes<kernels::bf16, float>,
                     GemmTypes<kernels::fp16, kernels::fp16>, GemmTypes<kernels::fp16, float>>;

}  // namespace rung::testing
