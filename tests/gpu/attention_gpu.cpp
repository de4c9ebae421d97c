// Attention of documents that fill their rows: cuDNN's, which rung takes there on Hopper, against
// FlashAttention-2, which it takes elsewhere (ops/attention.h): the time of a forward and a
// backward pass, the memory of the latter, and how far their results are apart.
#include <ATen/ops/randn.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "ops/attention.h"
#include "tests/gpu/open_gpu.h"
#include "tests/support/counting.h"

namespace rung::testing {
namespace {

struct Rows {
  std::string name;
  int64_t count;   // documents
  int64_t length;  // tokens of each
  int64_t num_heads;
  int64_t num_kv_heads;
  int64_t head_dim;

  int64_t tokens() const { return count * length; }
  // Of the causal halves of QK' and PV, and of the five products of the backward pass.
  double flops() const {
    const double product = 2.0 * static_cast<double>(length) * static_cast<double>(length) *
                           static_cast<double>(num_heads * head_dim) / 2.0;
    return 7.0 * product * static_cast<double>(count);
  }
};

class RowAttention {
 public:
  RowAttention(const Rows& rows, bool by_cudnn)
      : heads_{.num_heads = rows.num_heads,
               .num_kv_heads = rows.num_kv_heads,
               .head_dim = rows.head_dim,
               .scale = 1.0f / std::sqrt(static_cast<float>(rows.head_dim)),
               .kernel = ops::AttentionKernel::kFlash,
               .cudnn_length = by_cudnn ? rows.length : 0} {
    std::vector<kernels::AttentionSegment> segments;
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t begin = i * rows.length;
      segments.push_back(
          {.q_begin = begin, .num_q = rows.length, .k_begin = begin, .num_k = rows.length});
    }
    documents_ = ops::make_documents(std::move(segments), heads_.kernel, gpu().torch_device());
  }

  at::Tensor forward(const at::Tensor& qkv) const { return attention(qkv, heads_, documents_); }

 private:
  ops::AttentionHeads heads_;
  ops::AttentionDocuments documents_;
};

at::Tensor backward(const at::Tensor& out, const at::Tensor& qkv, const at::Tensor& dout) {
  return torch::autograd::grad({out}, {qkv}, {dout}, /*retain_graph=*/false).front();
}

// Milliseconds of one run: the median of several series, each of as many runs as take some 50 ms.
double milliseconds_of(const std::function<void()>& run) {
  const c10::impl::VirtualGuardImpl device(c10::kCUDA);
  const c10::Stream stream = device.getStream(gpu().torch_device());
  c10::Event start(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
  c10::Event stop(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
  const auto series_of = [&](int64_t num_runs) {
    start.record(stream);
    for (int64_t i = 0; i < num_runs; ++i) run();
    stop.record(stream);
    stop.synchronize();
    return start.elapsedTime(stop) / static_cast<double>(num_runs);
  };
  series_of(1);  // kernels are loaded, memory is taken
  const auto num_runs = std::clamp<int64_t>(std::llround(50.0 / series_of(1)), 1, 50);
  std::vector<double> series;
  for (int i = 0; i < 5; ++i) series.push_back(series_of(num_runs));
  std::ranges::nth_element(series, series.begin() + 2);
  return series[2];
}

// |got - expected| / |expected|, Euclidean norms, on the GPU.
double difference(const at::Tensor& got, const at::Tensor& expected) {
  const at::Tensor wide = expected.to(c10::kFloat);
  const at::Tensor distance = got.to(c10::kFloat).sub_(wide).norm();
  return distance.item().toDouble() / wide.norm().item().toDouble();
}

class Attention : public ::testing::TestWithParam<Rows> {
 protected:
  struct Results {
    at::Tensor out;
    at::Tensor dqkv;
    int64_t backward_bytes = 0;
  };

  // Records what the two passes take.
  Results run(const std::string& name, bool by_cudnn) {
    const Rows& rows = GetParam();
    const RowAttention attention(rows, by_cudnn);
    const auto both = [&] { return backward(attention.forward(qkv_), qkv_, dout_); };
    Results results{.out = attention.forward(qkv_).detach(), .dqkv = both(), .backward_bytes = 0};
    const at::Tensor out = attention.forward(qkv_);
    const int64_t workspace = taken_by(gpu().counter(), [&] { backward(out, qkv_, dout_); }).peak;
    record(name + "_backward_bytes", static_cast<double>(workspace));
    results.backward_bytes = workspace;
    const double forward = milliseconds_of([&] { attention.forward(qkv_.detach()); });
    const double milliseconds = milliseconds_of(both);
    record(name + "_forward_ms", forward);
    record(name + "_backward_ms", milliseconds - forward);
    record(name + "_tflops", rows.flops() / milliseconds * 1e-9);
    return results;
  }

  static void record(const std::string& key, double value) {
    RecordProperty(key, fmt::format("{:.10g}", value));
  }

  at::TensorOptions options_ = at::TensorOptions(gpu().torch_device()).dtype(c10::kBFloat16);
  at::Tensor qkv_ =
      at::randn({GetParam().tokens(),
                 (GetParam().num_heads + 2 * GetParam().num_kv_heads) * GetParam().head_dim},
                options_)
          .requires_grad_();
  at::Tensor dout_ =
      at::randn({GetParam().tokens(), GetParam().num_heads* GetParam().head_dim}, options_);
};

TEST_P(Attention, OfCudnnIsThatOfFlash) {
  const Results expected = run("flash", /*by_cudnn=*/false);
  const Results got = run("cudnn", /*by_cudnn=*/true);
  const double out = difference(got.out, expected.out);
  const double gradient = difference(got.dqkv, expected.dqkv);
  record("cudnn_out_difference", out);
  record("cudnn_gradient_difference", gradient);
  // Both round to bf16, 2^-9, a few times on the way. A NaN is no less than anything.
  EXPECT_LT(out, 2e-2);
  EXPECT_LT(gradient, 2e-2);
  // GPUs of the table are planned with FlashAttention-2.
  EXPECT_LE(got.backward_bytes, expected.backward_bytes);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Attention,
    ::testing::Values(Rows{"1x2048", 1, 2048, 32, 8, 128}, Rows{"2x2048", 2, 2048, 32, 8, 128},
                      Rows{"1x16384", 1, 16384, 32, 8, 128}, Rows{"3x1000", 3, 1000, 9, 3, 64},
                      Rows{"2x1536", 2, 1536, 16, 16, 96}, Rows{"2x2048_128", 2, 2048, 16, 16, 128},
                      Rows{"2x2048_64", 2, 2048, 14, 2, 64}, Rows{"1x4096_80", 1, 4096, 32, 8, 80}),
    [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace rung::testing
