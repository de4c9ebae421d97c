#include "kernels/rope.h"

#include "tests/kernels/rope_case.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::fp16;
using kernels::RopeDirection;
using kernels::RopeShape;
using kernels::cpu::rope_;
using testing::random_values;
using testing::RopeCase;
using testing::RopeTable;
using testing::Tolerances;

// Rotates heads with 5 untouched elements behind each token.
template <typename T>
void check(int64_t tokens, int64_t heads, int64_t head_dim, RopeDirection direction) {
  SCOPED_TRACE(::testing::Message() << tokens << " x " << heads << " x " << head_dim);
  RopeCase<T> c(tokens, heads, head_dim, 5);
  const std::vector<double> expected = reference_rope(c, direction);
  rope_(c.x.data(), c.table.cos.data(), c.table.sin.data(), c.positions.data(), c.shape, direction);
  EXPECT_TRUE(testing::close(c.x, expected, Tolerances<T>::kElementwise));
}

TEST(Rope, ForwardMatchesReference) {
  for (const int64_t head_dim : {2, 16, 62, 64, 80, 128}) {
    check<float>(33, 3, head_dim, RopeDirection::kForward);
    check<bf16>(33, 3, head_dim, RopeDirection::kForward);
    check<fp16>(33, 3, head_dim, RopeDirection::kForward);
  }
  check<float>(1025, 1, 64, RopeDirection::kForward);
}

TEST(Rope, InverseMatchesReference) {
  for (const int64_t head_dim : {2, 62, 128}) {
    check<float>(31, 2, head_dim, RopeDirection::kInverse);
    check<bf16>(31, 2, head_dim, RopeDirection::kInverse);
    check<fp16>(31, 2, head_dim, RopeDirection::kInverse);
  }
}

TEST(Rope, InverseUndoesForward) {
  const RopeShape shape = {.tokens = 40, .heads = 2, .head_dim = 64, .token_stride = 128};
  const RopeTable table = testing::make_table(32);
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
