// Attention of matrix products against rung's own kernel, which attention_test.cpp holds to a plain
// softmax.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

#include "memory/counting_allocator.h"
#include "ops/attention.h"
#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::random_tensor;
using rung::testing::relative_error;

AttentionHeads heads(AttentionKernel kernel) {
  return {.num_heads = 6, .num_kv_heads = 2, .head_dim = 12, .scale = 0.31f, .kernel = kernel};
}
constexpr int64_t kWidth = (6 + 2 * 2) * 12;

AttentionDocuments documents(const std::vector<int64_t>& lengths, AttentionKernel kernel) {
  std::vector<kernels::AttentionSegment> segments;
  int64_t begin = 0;
  for (const int64_t length : lengths) {
    segments.push_back({.q_begin = begin, .num_q = length, .k_begin = begin, .num_k = length});
    begin += length;
  }
  return make_documents(std::move(segments), kernel, at::kCPU);
}

class ProductsAttention : public ::testing::TestWithParam<c10::ScalarType> {
 protected:
  double tolerance() const { return GetParam() == at::kFloat ? 4e-6 : 1e-2; }

  // out and dqkv of `qkv` under `dout`.
  static std::vector<at::Tensor> passes(const at::Tensor& qkv, const at::Tensor& dout,
                                        const std::vector<int64_t>& lengths,
                                        AttentionKernel kernel) {
    const AttentionDocuments batch = documents(lengths, kernel);
    const at::Tensor x = qkv.detach().clone().requires_grad_();
    const at::Tensor out = attention(x, heads(kernel), batch);
    return {out, torch::autograd::grad({out}, {x}, {dout})[0]};
  }

  void expect_equal_to_tiled(const std::vector<int64_t>& lengths, int64_t tokens) const {
    const at::Tensor qkv = random_tensor({tokens, kWidth}, 1, GetParam());
    const at::Tensor dout = random_tensor({tokens, 6 * 12}, 2, GetParam());
    const auto got = passes(qkv, dout, lengths, AttentionKernel::kProducts);
    const auto expected = passes(qkv, dout, lengths, AttentionKernel::kTiled);
    EXPECT_EQ(got[0].scalar_type(), GetParam());
    EXPECT_LE(relative_error(got[0], expected[0]), tolerance());
    EXPECT_LE(relative_error(got[1], expected[1]), tolerance());
  }
};

TEST_P(ProductsAttention, EqualsTheTiledKernelInEachDocument) {
  expect_equal_to_tiled({33, 1, 70, 4}, 108);
}

TEST_P(ProductsAttention, EqualsItWhereScoresTakeSeveralTiles) {
  expect_equal_to_tiled({1300, 5}, 1305);
}

TEST_P(ProductsAttention, AttendsToACache) {
  const auto attend = [&](AttentionKernel kernel) {
    const auto cache_of = [&](uint64_t seed) { return random_tensor({40, 24}, seed, GetParam()); };
    KvCache cache{cache_of(3), cache_of(4)};
    const AttentionDocuments batch =
        make_documents({{.q_begin = 0, .num_q = 3, .k_begin = 2, .num_k = 9},
                        {.q_begin = 3, .num_q = 1, .k_begin = 20, .num_k = 17}},
                       kernel, at::kCPU);
    const at::Tensor rows = at::tensor(std::vector<int32_t>{8, 9, 10, 36}, at::kInt);
    return attention_cached(random_tensor({4, kWidth}, 5, GetParam()), heads(kernel), batch, cache,
                            rows);
  };
  EXPECT_LE(relative_error(attend(AttentionKernel::kProducts), attend(AttentionKernel::kTiled)),
            tolerance());
}

TEST_P(ProductsAttention, MetaTakesWhatTheCpuTakes) {
  const AttentionDocuments batch = documents({33, 1300, 4}, AttentionKernel::kProducts);
  const auto taken = [&](memory::Counter& counter, c10::Device device) {
    const auto options = at::TensorOptions(device).dtype(GetParam());
    const at::Tensor qkv = at::zeros({1337, kWidth}, options).requires_grad_();
    const at::Tensor dout = at::zeros({1337, 6 * 12}, options);
    return rung::testing::taken_by(counter, [&] {
      const at::Tensor out = attention(qkv, heads(AttentionKernel::kProducts), batch);
      torch::autograd::grad({out}, {qkv}, {dout});
    });
  };
  EXPECT_EQ(taken(memory::meta_counter(), at::kMeta), taken(memory::cpu_counter(), at::kCPU));
}

INSTANTIATE_TEST_SUITE_P(Dtypes, ProductsAttention,
                         ::testing::Values(at::kFloat, at::kBFloat16, at::kHalf));

TEST(AttentionKernelFor, TakesFlashWhereItCan) {
  EXPECT_EQ(attention_kernel_for(at::kCPU, at::kBFloat16, 64), AttentionKernel::kTiled);
  EXPECT_EQ(attention_kernel_for(at::kCUDA, at::kBFloat16, 64), AttentionKernel::kFlash);
  EXPECT_EQ(attention_kernel_for(at::kCUDA, at::kHalf, 256), AttentionKernel::kFlash);
  EXPECT_EQ(attention_kernel_for(at::kCUDA, at::kBFloat16, 264), AttentionKernel::kProducts);
  EXPECT_EQ(attention_kernel_for(at::kCUDA, at::kBFloat16, 12), AttentionKernel::kProducts);
  EXPECT_EQ(attention_kernel_for(at::kCUDA, at::kFloat, 64), AttentionKernel::kProducts);
}

}  // namespace
}  // namespace rung::ops
