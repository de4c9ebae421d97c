#include "ops/head_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::close;
using rung::testing::random_tensor;
using rung::testing::relative_error;

constexpr int64_t kTokens = 5;
constexpr int64_t kHeads = 4;
constexpr int64_t kKvHeads = 2;
constexpr int64_t kHeadDim = 6;
constexpr int64_t kWidth = (kHeads + 2 * kKvHeads) * kHeadDim;

HeadNorm make_norm(c10::ScalarType dtype) {
  return {.q_weight = random_tensor({kHeadDim}, 1, dtype),
          .k_weight = random_tensor({kHeadDim}, 2, dtype),
          .eps = 1e-3,
          .num_heads = kHeads,
          .num_kv_heads = kKvHeads,
          .head_dim = kHeadDim};
}

at::Tensor reference(const at::Tensor& qkv, const HeadNorm& norm) {
  const auto normed = [&](int64_t first, int64_t heads, const at::Tensor& weight) {
    const at::Tensor x =
        qkv.narrow(1, first * kHeadDim, heads * kHeadDim).reshape({-1, heads, kHeadDim});
    const at::Tensor y =
        x * (x.square().mean(-1, true) + norm.eps).rsqrt() * weight.to(at::kDouble);
    return y.reshape({qkv.size(0), -1});
  };
  return at::cat({normed(0, kHeads, norm.q_weight), normed(kHeads, kKvHeads, norm.k_weight),
                  qkv.narrow(1, (kHeads + kKvHeads) * kHeadDim, kKvHeads * kHeadDim)},
                 1);
}

class HeadNormTypes : public ::testing::TestWithParam<c10::ScalarType> {
 protected:
  double tolerance() const { return GetParam() == at::kFloat ? 1e-6 : 4e-3; }
};

TEST_P(HeadNormTypes, ValueAndGradientEqualTheComposition) {
  const HeadNorm norm = make_norm(GetParam());
  const at::Tensor qkv = random_tensor({kTokens, kWidth}, 3, GetParam()).requires_grad_();
  const at::Tensor wide = qkv.detach().to(at::kDouble).requires_grad_();
  const at::Tensor expected = reference(wide, norm);
  const at::Tensor dy = random_tensor({kTokens, kWidth}, 4, GetParam());
  const at::Tensor dx = torch::autograd::grad({expected}, {wide}, {dy.to(at::kDouble)})[0];
  const at::Tensor y = head_norm(qkv, norm);
  EXPECT_EQ(y.scalar_type(), GetParam());
  EXPECT_LE(relative_error(y, expected), tolerance());
  // The backward pass uses the gradient's own storage.
  EXPECT_LE(relative_error(torch::autograd::grad({y}, {qkv}, {dy.clone()})[0], dx), tolerance());
}

TEST_P(HeadNormTypes, ValuesPassUnchanged) {
  const at::Tensor qkv = random_tensor({kTokens, kWidth}, 3, GetParam());
  const int64_t first = (kHeads + kKvHeads) * kHeadDim;
  EXPECT_TRUE(head_norm(qkv, make_norm(GetParam()))
                  .narrow(1, first, kKvHeads * kHeadDim)
                  .equal(qkv.narrow(1, first, kKvHeads * kHeadDim)));
}

TEST_P(HeadNormTypes, InputIsLeftAlone) {
  const at::Tensor qkv = random_tensor({kTokens, kWidth}, 3, GetParam());
  const at::Tensor before = qkv.clone();
  head_norm(qkv, make_norm(GetParam()));
  EXPECT_TRUE(qkv.equal(before));
}

INSTANTIATE_TEST_SUITE_P(Types, HeadNormTypes, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return c10::toString(info.param); });

}  // namespace
}  // namespace rung::ops
