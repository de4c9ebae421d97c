#include "kernels/rope.h"

#include "tests/reference/rope.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::cpu::rope_;
using kernels::RopeDirection;
using kernels::RopeShape;
using testing::random_values;
using testing::Tolerances;
using testing::widen;

constexpr int64_t kMaxPositions = 50;

struct Table {
  std::vector<float> cos;
  std::vector<float> sin;
};

Table make_table(int64_t half) {
  Table table;
  for (int64_t position = 0; position < kMaxPositions; ++position) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) * std::pow(0.01, static_cast<double>(i));
      table.cos.push_back(static_cast<float>(std::cos(angle)));
      table.sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  return table;
}

// Rotates heads with 5 untouched elements behind each token.
template <typename T>
void check(int64_t tokens, int64_t heads, int64_t head_dim, RopeDirection direction) {
  SCOPED_TRACE(::testing::Message() << tokens << " x " << heads << " x " << head_dim);
  const int64_t half = head_dim / 2;
  const RopeShape shape = {
      .tokens = tokens, .heads = heads, .head_dim = head_dim, .token_stride = heads * head_dim + 5};
  const Table table = make_table(half);
  std::vector<int32_t> positions;
  for (int64_t t = 0; t < tokens; ++t) {
    positions.push_back(static_cast<int32_t>(t * 7 % kMaxPositions));
  }
  auto x = random_values<T>(tokens * shape.token_stride, 1);
  std::vector<double> expected = widen(x);
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t row = positions[static_cast<size_t>(t)] * half;
    const auto slice = [&](const std::vector<float>& values) {
      return std::vector<double>(values.begin() + row, values.begin() + row + half);
    };
    for (int64_t h = 0; h < heads; ++h) {
      const auto begin = expected.begin() + t * shape.token_stride + h * head_dim;
      const auto rotated =
          reference::rope({begin, begin + head_dim}, slice(table.cos), slice(table.sin),
                          direction == RopeDirection::kForward ? 1.0 : -1.0);
      std::copy(rotated.begin(), rotated.end(), begin);
    }
  }
  rope_(x.data(), table.cos.data(), table.sin.data(), positions.data(), shape, direction);
  EXPECT_TRUE(testing::close(x, expected, Tolerances<T>::kElementwise));
}

TEST(Rope, ForwardMatchesReference) {
  for (const int64_t head_dim : {2, 16, 62, 64, 80, 128}) {
    check<float>(33, 3, head_dim, RopeDirection::kForward);
    check<bf16>(33, 3, head_dim, RopeDirection::kForward);
  }
  check<float>(1025, 1, 64, RopeDirection::kForward);
}

TEST(Rope, InverseMatchesReference) {
  for (const int64_t head_dim : {2, 62, 128}) {
    check<float>(31, 2, head_dim, RopeDirection::kInverse);
    check<bf16>(31, 2, head_dim, RopeDirection::kInverse);
  }
}

TEST(Rope, InverseUndoesForward) {
  const RopeShape shape = {.tokens = 40, .heads = 2, .head_dim = 64, .token_stride = 128};
  const Table table = make_table(32);
  std::vector<int32_t> positions(40);
  for (int32_t t = 0; t < 40; ++t) positions[static_cast<size_t>(t)] = t;
  const auto original = random_values<float>(40 * 128, 1);
  auto x = original;
  for (const auto direction : {RopeDirection::kForward, RopeDirection::kInverse}) {
    rope_(x.data(), table.cos.data(), table.sin.data(), positions.data(), shape, direction);
  }
  EXPECT_TRUE(testing::close(x, original, Tolerances<float>::kElementwise));
}

}  // namespace
}  // namespace rung
