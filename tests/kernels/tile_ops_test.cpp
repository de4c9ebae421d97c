// Every instruction set that this processor has is tested.
#include "kernels/tile_ops.h"

#include <cmath>

#include "tests/kernels/available_tile_ops.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::cpu::padded_columns;
using kernels::cpu::tile_stride;
using kernels::cpu::TileLayout;
using kernels::cpu::TileMask;
using kernels::cpu::TileOps;
using kernels::cpu::TileStore;
using testing::available_tile_ops;
using testing::random_values;
using testing::Tolerances;

void check_product(const TileOps& ops, TileLayout layout, TileStore store, int64_t m, int64_t n,
                   int64_t k) {
  SCOPED_TRACE(::testing::Message() << m << " x " << n << " x " << k);
  const bool by_rows = layout == TileLayout::kRows;
  const int64_t a_stride = (by_rows ? k : m) + 1;
  const int64_t b_stride = n + 16;
  const int64_t c_stride = n + 3;
  const auto a = random_values<float>((by_rows ? m : k) * a_stride, 1);
  const auto b = random_values<float>(k * b_stride, 2);
  auto c = random_values<float>(m * c_stride, 3);
  std::vector<double> expected = testing::widen(c);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double& sum = expected[static_cast<size_t>(i * c_stride + j)];
      if (store == TileStore::kSet) sum = 0.0;
      for (int64_t l = 0; l < k; ++l) {
        sum += static_cast<double>(
                   a[static_cast<size_t>(by_rows ? i * a_stride + l : l * a_stride + i)]) *
               b[static_cast<size_t>(l * b_stride + j)];
      }
    }
  }
  ops.multiply({.a = a.data(),
                .a_stride = a_stride,
                .a_layout = layout,
                .b = b.data(),
                .b_stride = b_stride,
                .c = c.data(),
                .c_stride = c_stride,
                .store = store,
                .m = m,
                .n = n,
                .k = k});
  EXPECT_TRUE(testing::close(c, expected, Tolerances<float>::kSum));
}

TEST(TileOps, ProductsMatchReference) {
  for (const auto& [name, ops] : available_tile_ops()) {
    SCOPED_TRACE(name);
    for (const auto layout : {TileLayout::kRows, TileLayout::kColumns}) {
      for (const auto store : {TileStore::kSet, TileStore::kAdd}) {
        for (const int64_t m : {1, 3, 6, 11, 12, 23, 48}) {
          check_product(ops, layout, store, m, 16, 33);
          check_product(ops, layout, store, m, 48, 1);
          check_product(ops, layout, store, m, 128, 64);
        }
      }
    }
  }
}

// Rows 0 .. 4 of 16 columns see 0, 0, 1, 1, 2 of them: two heads a query.
constexpr TileMask kMask = {.first_visible = 0, .first_row = 2, .rows_per_query = 2};

TEST(TileOps, SoftmaxContinuesAnEarlierBlock) {
  for (const auto& [name, ops] : available_tile_ops()) {
    SCOPED_TRACE(name);
    auto scores = random_values<float>(5 * 16, 1);
    const auto original = scores;
    std::vector<float> max = {0.5f, 0.5f, 0.5f, -9.0f, 9.0f};
    const auto old_max = max;
    std::vector<float> sum(5, 2.0f);
    std::vector<float> out(5 * 16, 1.0f);
    ops.softmax({.scores = scores.data(),
                 .score_stride = 16,
                 .max = max.data(),
                 .sum = sum.data(),
                 .out = out.data(),
                 .out_stride = 16,
                 .rows = 5,
                 .columns = 16,
                 .out_columns = 16,
                 .mask = kMask});
    for (size_t row = 0; row < 5; ++row) {
      const size_t visible = row / 2;
      double expected_max = old_max[row];
      for (size_t i = 0; i < visible; ++i) {
        expected_max = std::max<double>(expected_max, original[row * 16 + i]);
      }
      const double factor = std::exp2(old_max[row] - expected_max);
      double expected_sum = 2.0 * factor;
      for (size_t i = 0; i < 16; ++i) {
        const double p = i < visible ? std::exp2(original[row * 16 + i] - expected_max) : 0.0;
        EXPECT_NEAR(scores[row * 16 + i], p, 1e-6);
        expected_sum += p;
      }
      EXPECT_EQ(max[row], static_cast<float>(expected_max));
      EXPECT_NEAR(sum[row], expected_sum, 1e-5);
      EXPECT_NEAR(out[row * 16], factor, 1e-6);
    }
  }
}

TEST(TileOps, SoftmaxGradientIsZeroWhereMasked) {
  for (const auto& [name, ops] : available_tile_ops()) {
    SCOPED_TRACE(name);
    auto scores = random_values<float>(5 * 16, 1);
    auto dp = random_values<float>(5 * 16, 2);
    const auto old_scores = scores;
    const auto old_dp = dp;
    const std::vector<float> lse(5, 1.5f);
    const std::vector<float> dot(5, 0.25f);
    ops.softmax_gradient({.scores = scores.data(),
                          .dp = dp.data(),
                          .stride = 16,
                          .lse = lse.data(),
                          .dot = dot.data(),
                          .rows = 5,
                          .columns = 16,
                          .mask = kMask});
    for (size_t i = 0; i < scores.size(); ++i) {
      const bool visible = i % 16 < i / 16 / 2;
      const double p = visible ? std::exp2(old_scores[i] - 1.5) : 0.0;
      EXPECT_NEAR(scores[i], p, 1e-6);
      EXPECT_NEAR(dp[i], p * (old_dp[i] - 0.25), 1e-6);
    }
  }
}

TEST(TileOps, StridesSpreadOverTheCache) {
  for (int64_t columns = 1; columns <= 256; ++columns) {
    EXPECT_GE(tile_stride(columns), padded_columns(columns));
    EXPECT_EQ(tile_stride(columns) / 16 % 2, 1);
  }
}

}  // namespace
}  // namespace rung
