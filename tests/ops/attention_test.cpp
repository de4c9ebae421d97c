#include "ops/attention.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ops/attention_kernels.h"
#include "tests/support/backward_thread.h"
#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::random_tensor;
using rung::testing::relative_error;

constexpr AttentionHeads kHeads = {
    .num_heads = 6, .num_kv_heads = 2, .head_dim = 8, .scale = 0.37f};
constexpr int64_t kWidth = (kHeads.num_heads + 2 * kHeads.num_kv_heads) * kHeads.head_dim;

// Consecutive documents of these lengths.
AttentionDocuments documents(const std::vector<int64_t>& lengths) {
  std::vector<kernels::AttentionSegment> segments;
  int64_t begin = 0;
  for (const int64_t length : lengths) {
    segments.push_back({.q_begin = begin, .num_q = length, .k_begin = begin, .num_k = length});
    begin += length;
  }
  return make_documents(std::move(segments), AttentionKernel::kTiled, at::kCPU);
}

// softmax(scale q k' + causal mask) v of one document, heads expanded: every query sees what lies
// before it.
at::Tensor reference_document(const at::Tensor& qkv) {
  const int64_t tokens = qkv.size(0);
  const int64_t q_width = kHeads.num_heads * kHeads.head_dim;
  const int64_t kv_width = kHeads.num_kv_heads * kHeads.head_dim;
  const auto heads = [&](int64_t first, int64_t width) {
    return qkv.narrow(1, first, width).reshape({tokens, -1, kHeads.head_dim}).transpose(0, 1);
  };
  const int64_t repeats = kHeads.num_heads / kHeads.num_kv_heads;
  const at::Tensor q = heads(0, q_width);
  const at::Tensor k = heads(q_width, kv_width).repeat_interleave(repeats, 0);
  const at::Tensor v = heads(q_width + kv_width, kv_width).repeat_interleave(repeats, 0);
  const at::Tensor mask = at::ones({tokens, tokens}, at::kBool).triu(1);
  const at::Tensor scores = (q.matmul(k.transpose(1, 2)) * static_cast<double>(kHeads.scale))
                                .masked_fill(mask, -INFINITY);
  return scores.softmax(-1).matmul(v).transpose(0, 1).reshape({tokens, q_width});
}

at::Tensor reference(const at::Tensor& qkv, const AttentionDocuments& documents) {
  std::vector<at::Tensor> outputs;
  for (const auto& segment : documents.segments) {
    outputs.push_back(reference_document(qkv.narrow(0, segment.q_begin, segment.num_q)));
  }
  return at::cat(outputs, 0);
}

class Attention : public ::testing::TestWithParam<c10::ScalarType> {
 protected:
  double tolerance() const { return GetParam() == at::kFloat ? 2e-6 : 5e-3; }
};

TEST_P(Attention, ValueAndGradientEqualMaskedSoftmaxInEachDocument) {
  const AttentionDocuments batch = documents({33, 1, 70, 4});
  const at::Tensor qkv = random_tensor({108, kWidth}, 1, GetParam()).requires_grad_();
  const at::Tensor wide = qkv.detach().to(at::kDouble).requires_grad_();
  const at::Tensor expected = reference(wide, batch);
  const at::Tensor dout = random_tensor(expected.sizes(), 2, GetParam());
  const at::Tensor dqkv = torch::autograd::grad({expected}, {wide}, {dout.to(at::kDouble)})[0];
  const at::Tensor out = attention(qkv, kHeads, batch);
  EXPECT_EQ(out.scalar_type(), GetParam());
  EXPECT_LE(relative_error(out, expected), tolerance());
  EXPECT_LE(relative_error(torch::autograd::grad({out}, {qkv}, {dout})[0], dqkv), tolerance());
}

TEST_P(Attention, GradientIsCountedByNameOnAnyThread) {
  const AttentionDocuments batch = documents({33, 1, 70, 4});
  const at::Tensor qkv = random_tensor({108, kWidth}, 1, GetParam()).requires_grad_();
  const memory::ComponentScope scope(memory::Component::kActivations);  // of what is freed
  const at::Tensor out = attention(qkv, kHeads, batch);
  const at::Tensor dout = at::ones_like(out);
  EXPECT_EQ(rung::testing::unnamed_gradient(out, qkv, dout), 0);
}

TEST_P(Attention, ADocumentIsUntouchedByItsNeighbours) {
  const AttentionDocuments batch = documents({20, 30});
  at::Tensor qkv = random_tensor({50, kWidth}, 1, GetParam());
  const at::Tensor before = attention(qkv, kHeads, batch).narrow(0, 20, 30).clone();
  qkv.narrow(0, 0, 20).fill_(100.0);
  EXPECT_TRUE(attention(qkv, kHeads, batch).narrow(0, 20, 30).equal(before));
}

TEST_P(Attention, TakenStepByStepWithACacheItEqualsTheFullPass) {
  const std::vector<int64_t> lengths = {19, 7};
  const at::Tensor qkv = random_tensor({26, kWidth}, 1, GetParam());
  const at::Tensor expected = attention(qkv, kHeads, documents(lengths));
  const int64_t kv_width = kHeads.num_kv_heads * kHeads.head_dim;
  // Room between the two sequences, as generation leaves it for tokens to come.
  KvCache cache{at::full({40, kv_width}, NAN, qkv.options()),
                at::full({40, kv_width}, NAN, qkv.options())};
  const std::vector<int64_t> cache_begin = {1, 25};
  const std::vector<int64_t> token_begin = {0, 19};
  // The first five tokens of both at once, then one after the other.
  for (int64_t done = 0; done < 19;) {
    const int64_t count = done == 0 ? 5 : 1;
    std::vector<at::Tensor> rows;
    std::vector<kernels::AttentionSegment> segments;
    std::vector<int32_t> cache_rows;
    std::vector<int64_t> tokens;
    for (size_t s = 0; s < lengths.size(); ++s) {
      if (done + count > lengths[s]) continue;
      segments.push_back({.q_begin = static_cast<int64_t>(tokens.size()),
                          .num_q = count,
                          .k_begin = cache_begin[s],
                          .num_k = done + count});
      for (int64_t i = done; i < done + count; ++i) {
        tokens.push_back(token_begin[s] + i);
        cache_rows.push_back(static_cast<int32_t>(cache_begin[s] + i));
      }
    }
    const at::Tensor index = at::tensor(tokens, at::kLong);
    const AttentionDocuments batch =
        make_documents(std::move(segments), AttentionKernel::kTiled, at::kCPU);
    const at::Tensor out = attention_cached(qkv.index_select(0, index), kHeads, batch, cache,
                                            at::tensor(cache_rows, at::kInt));
    EXPECT_LE(relative_error(out, expected.index_select(0, index)), tolerance()) << "from " << done;
    done += count;
  }
}

TEST_P(Attention, MetaTakesWhatTheCpuTakes) {
  const AttentionDocuments batch = documents({33, 70, 4});
  const auto run = [&](const at::Tensor& qkv, const at::Tensor& dout) {
    const at::Tensor out = attention(qkv, kHeads, batch);
    torch::autograd::grad({out}, {qkv}, {dout});
  };
  const auto tensor = [&](int64_t width, c10::Device device) {
    return at::zeros({107, width}, at::TensorOptions(device).dtype(GetParam()));
  };
  const auto taken = [&](memory::Counter& counter, c10::Device device) {
    const at::Tensor qkv = tensor(kWidth, device).requires_grad_();
    const at::Tensor dout = tensor(kHeads.num_heads * kHeads.head_dim, device);
    return rung::testing::taken_by(counter, [&] { run(qkv, dout); });
  };
  EXPECT_EQ(taken(memory::meta_counter(), at::kMeta), taken(memory::cpu_counter(), at::kCPU));
}

std::vector<int32_t> values_of(const at::Tensor& x) {
  return {x.const_data_ptr<int32_t>(), x.const_data_ptr<int32_t>() + x.numel()};
}

TEST(AttentionDocuments, NameThePackedDocumentsForFlash) {
  const AttentionDocuments documents =
      make_documents({{.q_begin = 0, .num_q = 3, .k_begin = 0, .num_k = 3},
                      {.q_begin = 3, .num_q = 5, .k_begin = 3, .num_k = 5}},
                     AttentionKernel::kFlash, at::kCPU);
  EXPECT_EQ(values_of(documents.cu_q), (std::vector<int32_t>{0, 3, 8}));
  EXPECT_EQ(values_of(documents.cu_k), (std::vector<int32_t>{0, 3, 8}));
  EXPECT_FALSE(documents.num_keys.defined());
  EXPECT_EQ(documents.max_q, 5);
  EXPECT_EQ(documents.max_k, 5);
}

TEST(AttentionDocuments, NameTheKeysInUseWhereACacheHasGaps) {
  const AttentionDocuments documents =
      make_documents({{.q_begin = 0, .num_q = 1, .k_begin = 1, .num_k = 6},
                      {.q_begin = 1, .num_q = 1, .k_begin = 25, .num_k = 9}},
                     AttentionKernel::kFlash, at::kCPU);
  EXPECT_EQ(values_of(documents.cu_q), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(values_of(documents.cu_k), (std::vector<int32_t>{1, 25, 34}));
  EXPECT_EQ(values_of(documents.num_keys), (std::vector<int32_t>{6, 9}));
  EXPECT_EQ(documents.max_k, 9);
}

// Of `lengths`, with cuDNN for documents of 64 tokens.
bool goes_to_cudnn(const std::vector<int64_t>& lengths, int64_t more_keys = 0) {
  AttentionHeads heads = kHeads;
  heads.kernel = AttentionKernel::kFlash;
  heads.cudnn_length = 64;
  const AttentionDocuments batch = documents(lengths);
  const auto tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  QkvViews x = split_qkv(at::empty({tokens, kWidth}), heads);
  if (more_keys > 0) x.k = at::empty({tokens + more_keys, x.k.size(1)});
  return is_for_cudnn(x, heads, batch);
}

TEST(CudnnAttention, TakesBatchesWhoseDocumentsAllFillTheirRows) {
  EXPECT_TRUE(goes_to_cudnn({64}));
  EXPECT_TRUE(goes_to_cudnn({64, 64, 64}));
  EXPECT_FALSE(goes_to_cudnn({64, 63}));
  EXPECT_FALSE(goes_to_cudnn({32, 32}));
  EXPECT_FALSE(goes_to_cudnn({128}));
  EXPECT_FALSE(goes_to_cudnn({64}, /*more_keys=*/8)) << "a cache";
}

// Bytes of a backward pass over documents of these lengths, on the meta device in bf16.
int64_t backward_peak(const AttentionHeads& heads, const std::vector<int64_t>& lengths) {
  const auto options = at::TensorOptions(at::kMeta).dtype(at::kBFloat16);
  const auto tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  const AttentionDocuments batch =
      make_documents(documents(lengths).segments, heads.kernel, at::kMeta);
  const at::Tensor qkv =
      at::empty({tokens, (heads.num_heads + 2 * heads.num_kv_heads) * heads.head_dim}, options)
          .requires_grad_();
  const at::Tensor out = attention(qkv, heads, batch);
  const at::Tensor dout = at::empty({tokens, heads.num_heads * heads.head_dim}, options);
  return rung::testing::taken_by(memory::meta_counter(),
                                 [&] { torch::autograd::grad({out}, {qkv}, {dout}); })
      .peak;
}

struct SeenShape {
  int64_t rows;
  int64_t length;
  int64_t num_heads;
  int64_t num_kv_heads;
  int64_t head_dim;
  int64_t bytes;
};

// What an H200 took in a backward pass, dqkv included (docs/benchmarks/gpu.md).
TEST(CudnnAttention, CountsOnMetaWhatAGpuWasSeenToTake) {
  for (const SeenShape& seen :
       {SeenShape{1, 2048, 32, 8, 128, 117702912}, SeenShape{2, 2048, 32, 8, 128, 235405568},
        SeenShape{1, 16384, 32, 8, 128, 941621504}, SeenShape{3, 1000, 9, 3, 64, 25452256},
        SeenShape{2, 1536, 16, 16, 96, 75694336}}) {
    const AttentionHeads heads{.num_heads = seen.num_heads,
                               .num_kv_heads = seen.num_kv_heads,
                               .head_dim = seen.head_dim,
                               .kernel = AttentionKernel::kFlash,
                               .cudnn_length = seen.length};
    const std::vector<int64_t> lengths(static_cast<size_t>(seen.rows), seen.length);
    const int64_t tokens = seen.rows * seen.length;
    const int64_t width = (seen.num_heads + 2 * seen.num_kv_heads) * seen.head_dim;
    // dqkv was there before the workspace then, and comes behind it now.
    const int64_t dqkv = tokens * width * 2;
    EXPECT_NEAR(static_cast<double>(backward_peak(heads, lengths)),
                static_cast<double>(std::max(seen.bytes - dqkv, 2 * dqkv)), 2048.0)
        << seen.rows << " x " << seen.length;
  }
}

TEST(CudnnAttention, IsForLongRowsOnHopper) {
  EXPECT_TRUE(prefers_cudnn(90, 128, 2048));
  EXPECT_TRUE(prefers_cudnn(90, 64, 1024));
  EXPECT_FALSE(prefers_cudnn(90, 128, 1000)) << "short";
  EXPECT_FALSE(prefers_cudnn(90, 256, 2048)) << "wide heads";
  for (const int64_t architecture : {0, 80, 86, 89, 100, 120}) {
    EXPECT_FALSE(prefers_cudnn(architecture, 128, 2048)) << architecture;
  }
}

// What the kernels' own gradients are copied into comes when their workspace is gone.
TEST(FlashAttention, MakesTheGradientOfQkvBehindItsWorkspaceOnMeta) {
  const AttentionHeads heads{
      .num_heads = 6, .num_kv_heads = 6, .head_dim = 8, .kernel = AttentionKernel::kFlash};
  constexpr int64_t kGradients = 128 * 18 * 8 * 2;                        // bytes of dq, dk and dv
  constexpr int64_t kWorkspace = (128 + 128) * 6 * 32 * 4 + 6 * 256 * 4;  // sums and dots
  EXPECT_EQ(backward_peak(heads, {128}), kGradients + kWorkspace);
}

// Grouped heads: the CUDA operator makes dk and dv once more for every query head.
TEST(FlashAttention, CountsTheExpandedGradientsOfGroupedHeadsOnMeta) {
  const auto peak = [](int64_t num_kv_heads) {
    const AttentionHeads heads{.num_heads = 6,
                               .num_kv_heads = num_kv_heads,
                               .head_dim = 8,
                               .kernel = AttentionKernel::kFlash};
    return backward_peak(heads, {128});
  };
  constexpr int64_t kExpanded = 2 * 128 * 6 * 8 * 2;  // bytes
  constexpr int64_t kSmaller = 2 * 128 * (6 - 2) * 8 * 2;
  EXPECT_EQ(peak(2), peak(6) + kExpanded - kSmaller);
}

// In a fixed order: sums of dq for as many groups of thread blocks as the GPU runs at once.
TEST(FlashAttention, CountsTheSumsOfADeterministicBackwardOnMeta) {
  const auto peak = [](int64_t num_multiprocessors) {
    const AttentionHeads heads{.num_heads = 6,
                               .num_kv_heads = 6,
                               .head_dim = 8,
                               .kernel = AttentionKernel::kFlash,
                               .num_multiprocessors = num_multiprocessors};
    return backward_peak(heads, {128});
  };
  constexpr int64_t kSums = (128 + 128) * 6 * 32 * 4;  // bytes, padded to heads of 32 features
  EXPECT_EQ(peak(6), peak(0));
  EXPECT_EQ(peak(13), peak(0) + 2 * kSums);
}

INSTANTIATE_TEST_SUITE_P(Types, Attention, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return c10::toString(info.param); });

}  // namespace
}  // namespace rung::ops
