#include "kernels/lora_dropout.h"

#include <limits>
#include <set>

#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::dropout_bits;
using kernels::dropout_key;
using kernels::dropout_module_key;
using kernels::dropout_row_key;
using kernels::fp16;
using kernels::cpu::lora_dropout;
using kernels::cpu::lora_dropout_accumulate;
using testing::random_values;
using testing::Tolerances;

std::vector<uint64_t> row_keys(int64_t rows) {
  std::vector<uint64_t> keys;
  for (int64_t row = 0; row < rows; ++row) keys.push_back(dropout_row_key(42, 3, 5, row));
  return keys;
}

// Which elements of [rows, cols] are kept.
std::vector<int> mask_of(int64_t rows, int64_t cols, uint64_t module_key, float p) {
  const std::vector<float> ones(static_cast<size_t>(rows * cols), 1.0f);
  std::vector<float> y(ones.size());
  lora_dropout(ones.data(), row_keys(rows).data(), module_key, p, rows, cols, cols, y.data());
  std::vector<int> mask;
  for (const float value : y) mask.push_back(value != 0.0f);
  return mask;
}

double correlation(const std::vector<int>& a, const std::vector<int>& b, double mean) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - mean) * (b[i] - mean);
  return sum / (static_cast<double>(a.size()) * mean * (1.0 - mean));
}

template <typename T>
void check(int64_t rows, int64_t cols) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << cols);
  const float p = 0.1f;
  const uint64_t module_key = dropout_module_key(1, 2);
  const int64_t stride = cols + 3;
  const auto x = random_values<T>(rows * stride, 1);
  const auto keys = row_keys(rows);
  std::vector<T> y(static_cast<size_t>(rows * cols));
  lora_dropout(x.data(), keys.data(), module_key, p, rows, cols, stride, y.data());
  auto dx = random_values<T>(rows * cols, 2);
  std::vector<double> expected;
  std::vector<double> expected_dx = testing::widen(dx);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      const uint64_t key = dropout_key(keys[static_cast<size_t>(row)], module_key);
      const bool kept = dropout_bits(key, static_cast<uint32_t>(col)) >= 0.1 * 0x1p24;
      const double value = testing::as_double(x[static_cast<size_t>(row * stride + col)]);
      expected.push_back(kept ? value / 0.9 : 0.0);
      expected_dx[expected.size() - 1] += expected.back();
    }
  }
  lora_dropout_accumulate(x.data(), keys.data(), module_key, p, rows, cols, stride, dx.data());
  EXPECT_TRUE(testing::close(y, expected, Tolerances<T>::kElementwise));
  EXPECT_TRUE(testing::close(dx, expected_dx, Tolerances<T>::kElementwise));
}

TEST(LoraDropout, AppliesTheStatedMask) {
  for (const int64_t cols : {1, 31, 33, 1025}) {
    check<float>(9, cols);
    check<bf16>(9, cols);
    check<fp16>(9, cols);
  }
}

TEST(LoraDropout, DropsTheStatedShare) {
  for (const float p : {0.0f, 0.05f, 0.5f, 0.9f}) {
    const auto mask = mask_of(1000, 1000, dropout_module_key(0, 0), p);
    double kept = 0.0;
    for (const int bit : mask) kept += bit;
    // Standard deviation of the share of a million draws: at most 0.0005.
    EXPECT_NEAR(kept / 1e6, 1.0 - p, 0.002) << p;
  }
}

TEST(LoraDropout, NeighboursAreIndependent) {
  const int64_t rows = 1000;
  const int64_t cols = 1000;
  const auto mask = mask_of(rows, cols, dropout_module_key(0, 0), 0.5f);
  for (const int64_t shift : {int64_t{1}, int64_t{2}, int64_t{64}, cols, cols + 1, 2 * cols}) {
    const std::vector<int> head(mask.begin(), mask.end() - shift);
    const std::vector<int> tail(mask.begin() + shift, mask.end());
    EXPECT_LT(std::abs(correlation(head, tail, 0.5)), 0.005) << shift;
  }
}

TEST(LoraDropout, ModulesDrawDifferentMasks) {
  const auto a = mask_of(500, 1000, dropout_module_key(0, 0), 0.5f);
  for (const uint64_t key : {dropout_module_key(0, 1), dropout_module_key(1, 0)}) {
    EXPECT_LT(std::abs(correlation(a, mask_of(500, 1000, key, 0.5f), 0.5)), 0.007);
  }
}

TEST(LoraDropout, RowKeysDependOnEveryCoordinate) {
  std::set<uint64_t> keys;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    for (int64_t step = 0; step < 8; ++step) {
      for (int64_t document = 0; document < 8; ++document) {
        for (int64_t position = 0; position < 64; ++position) {
          keys.insert(dropout_row_key(seed, step, document, position));
        }
      }
    }
  }
  EXPECT_EQ(keys.size(), 4u * 8 * 8 * 64);
}

// Exact: a product that is fused with its sum is rounded once, and differs on some processors only.
TEST(LoraDropout, RoundsTheQuotientBeforeTheSum) {
  const int64_t rows = 5;
  const int64_t cols = 1025;
  const auto g = random_values<float>(rows * cols, 1);
  const auto keys = row_keys(rows);
  std::vector<float> quotients(g.size());
  lora_dropout(g.data(), keys.data(), 7, 0.3f, rows, cols, cols, quotients.data());
  auto dx = random_values<float>(rows * cols, 2);
  std::vector<float> expected;
  for (size_t i = 0; i < g.size(); ++i) expected.push_back(dx[i] + quotients[i]);
  lora_dropout_accumulate(g.data(), keys.data(), 7, 0.3f, rows, cols, cols, dx.data());
  EXPECT_EQ(dx, expected);
}

TEST(LoraDropout, DropsWhatIsNotFinite) {
  const int64_t cols = 1000;
  const std::vector<float> x(static_cast<size_t>(cols), std::numeric_limits<float>::infinity());
  const auto keys = row_keys(1);
  std::vector<float> y(x.size());
  lora_dropout(x.data(), keys.data(), 7, 0.5f, 1, cols, cols, y.data());
  const auto mask = mask_of(1, cols, 7, 0.5f);
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], mask[i] != 0 ? x[i] : 0.0f) << i;
}

TEST(LoraDropout, MaskDoesNotDependOnTheBatch) {
  const auto x = random_values<float>(10 * 33, 1);
  const auto keys = row_keys(10);
  std::vector<float> whole(x.size());
  std::vector<float> parts(x.size());
  lora_dropout(x.data(), keys.data(), 7, 0.5f, 10, 33, 33, whole.data());
  lora_dropout(x.data(), keys.data(), 7, 0.5f, 4, 33, 33, parts.data());
  lora_dropout(x.data() + 4 * 33, keys.data() + 4, 7, 0.5f, 6, 33, 33, parts.data() + 4 * 33);
  EXPECT_EQ(whole, parts);
}

}  // namespace
}  // namespace rung
