#include "ops/rope.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::close;
using rung::testing::random_tensor;
using rung::testing::Tolerances;

constexpr int64_t kHeads = 3;
constexpr int64_t kHeadDim = 10;
constexpr int64_t kExtra = 7;  // features behind the heads that are not rotated
constexpr int64_t kWidth = kHeads * kHeadDim + kExtra;

class Rope : public ::testing::Test {
 protected:
  // Positions out of order and repeated, as packed documents have them.
  at::Tensor positions_ = at::tensor({0, 1, 2, 0, 19, 5}, at::kInt);
  RopeTable table_ = {random_tensor({20, kHeadDim / 2}, 1), random_tensor({20, kHeadDim / 2}, 2)};

  // x * cos + rotate_half(x) * sin, for the heads.
  at::Tensor reference(const at::Tensor& x) const {
    const at::Tensor heads = x.narrow(1, 0, kHeads * kHeadDim).view({-1, kHeads, kHeadDim});
    const at::Tensor rows = positions_.to(at::kLong);
    const auto both_halves = [&](const at::Tensor& table) {
      const at::Tensor half = table.to(x.scalar_type()).index_select(0, rows);
      return at::cat({half, half}, 1).unsqueeze(1);
    };
    const at::Tensor rotated = at::cat(
        {-heads.narrow(2, kHeadDim / 2, kHeadDim / 2), heads.narrow(2, 0, kHeadDim / 2)}, 2);
    const at::Tensor y = heads * both_halves(table_.cos) + rotated * both_halves(table_.sin);
    return at::cat({y.reshape({x.size(0), -1}), x.narrow(1, kHeads * kHeadDim, kExtra)}, 1);
  }

  at::Tensor rotate(const at::Tensor& x) const {
    return rope(x, table_, positions_, kHeads, kHeadDim);
  }
};

TEST_F(Rope, ValueAndGradientEqualRotateHalf) {
  const at::Tensor leaf = random_tensor({6, kWidth}, 3).requires_grad_();
  const at::Tensor expected = reference(leaf);
  const at::Tensor dy = random_tensor({6, kWidth}, 4);
  const at::Tensor dx = torch::autograd::grad({expected}, {leaf}, {dy})[0];
  const at::Tensor y = rotate(leaf.clone());
  EXPECT_TRUE(close(y, expected, Tolerances<float>::kElementwise));
  // The backward pass may use the gradient's own storage.
  EXPECT_TRUE(close(torch::autograd::grad({y}, {leaf}, {dy.clone()})[0], dx,
                    Tolerances<float>::kElementwise));
}

TEST_F(Rope, Bf16IsTheRoundedValue) {
  const at::Tensor x = random_tensor({6, kWidth}, 3, at::kBFloat16);
  const at::Tensor expected = reference(x.to(at::kFloat));
  EXPECT_TRUE(close(rotate(x), expected, {.relative = 0x1p-7, .absolute = 0x1p-7}));
}

TEST_F(Rope, TurnsInPlaceWithoutTakingMemory) {
  const at::Tensor x = random_tensor({6, kWidth}, 3);
  const rung::testing::Measured measured(memory::cpu_counter());
  const at::Tensor y = rotate(x);
  EXPECT_EQ(y.data_ptr(), x.data_ptr());
  EXPECT_EQ(measured.taken().peak, 0);
}

TEST_F(Rope, MetaTensorsKeepTheirShape) {
  const at::Tensor x = at::empty({6, kWidth}, at::TensorOptions(at::kMeta)).requires_grad_();
  const at::Tensor y = rotate(x.clone());
  EXPECT_EQ(y.sizes(), x.sizes());
  const at::Tensor dy = at::empty_like(y);
  EXPECT_EQ(torch::autograd::grad({y}, {x}, {dy})[0].sizes(), x.sizes());
}

}  // namespace
}  // namespace rung::ops
