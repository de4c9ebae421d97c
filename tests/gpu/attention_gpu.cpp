// ATen's attention of cuDNN against its FlashAttention-2, which rung takes
// (ops/attention_kernels.h): the time of a forward and a backward pass, and how far their results
// are apart, at the shapes of an 8B model.
//
// cuDNN's is called in two ways. "dense": rows of one length, as many as there are; the graph that
// cuDNN compiles for a shape is kept. "packed": documents of any length, as rung has them. There
// ATen compiles the graph anew at every call, and takes q, k and v to have no gaps between their
// rows, which those of one projection have (source: aten/src/ATen/native/cudnn/MHA.cpp): they are
// copied beforehand, and the time of that is not in the figures.
#include <ATen/ops/_cudnn_attention_backward.h>
#include <ATen/ops/_cudnn_attention_forward.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention_backward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <c10/core/Event.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "tests/gpu/open_gpu.h"
#include "tests/support/counting.h"

namespace rung::testing {
namespace {

constexpr int64_t kHeads = 32;
constexpr int64_t kKvHeads = 8;
constexpr int64_t kHeadDim = 128;

struct Rows {
  std::string name;
  int64_t count;   // documents
  int64_t length;  // tokens of each

  int64_t tokens() const { return count * length; }
  // Of the causal halves of QK' and PV, and of the five products of the backward pass.
  double flops() const {
    const double product = 2.0 * static_cast<double>(length) * static_cast<double>(length) *
                           static_cast<double>(kHeads * kHeadDim) / 2.0;
    return 7.0 * product * static_cast<double>(count);
  }
};

struct Inputs {
  Rows rows;
  at::Tensor q;           // [tokens, heads, head_dim], as k and v a view of one projection
  at::Tensor k;           // [tokens, kv_heads, head_dim]
  at::Tensor v;           // [tokens, kv_heads, head_dim]
  at::Tensor dout;        // [tokens, heads, head_dim]
  at::Tensor cu_seqlens;  // [count + 1] int32
  double scale = 1.0 / std::sqrt(static_cast<double>(kHeadDim));

  explicit Inputs(const Rows& shape) : rows(shape) {
    const auto options = at::TensorOptions(gpu().torch_device()).dtype(c10::kBFloat16);
    const at::Tensor qkv = at::randn({rows.tokens(), kHeads + 2 * kKvHeads, kHeadDim}, options);
    q = qkv.narrow(1, 0, kHeads);
    k = qkv.narrow(1, kHeads, kKvHeads);
    v = qkv.narrow(1, kHeads + kKvHeads, kKvHeads);
    dout = at::randn({rows.tokens(), kHeads, kHeadDim}, options);
    cu_seqlens = at::arange(0, rows.tokens() + 1, rows.length, options.dtype(c10::kInt));
  }
};

// What a forward pass leaves for the backward pass.
struct Saved {
  at::Tensor out;
  at::Tensor lse;
  at::Tensor seed;
  at::Tensor offset;
};

// In the order of q, k and v.
using Gradients = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

struct Kernel {
  std::string name;
  std::function<Saved()> forward;
  std::function<Gradients(const Saved&)> backward;
  // From the kernel's layout to that of the inputs.
  std::function<at::Tensor(const at::Tensor&)> by_token = [](const at::Tensor& x) { return x; };
};

Kernel flash(const Inputs& x) {
  const auto forward = [&x] {
    const auto [out, lse, rng_state, unused, mask] = at::_flash_attention_forward(
        x.q, x.k, x.v, x.cu_seqlens, x.cu_seqlens, x.rows.length, x.rows.length, /*dropout_p=*/0.0,
        /*is_causal=*/true, /*return_debug_mask=*/false, x.scale);
    return Saved{out, lse, rng_state, at::empty({0}, x.q.options())};
  };
  const auto backward = [&x](const Saved& saved) {
    return at::_flash_attention_backward(x.dout, x.q, x.k, x.v, saved.out, saved.lse, x.cu_seqlens,
                                         x.cu_seqlens, x.rows.length, x.rows.length,
                                         /*dropout_p=*/0.0, /*is_causal=*/true, saved.seed,
                                         saved.offset, x.scale);
  };
  return {"flash", forward, backward};
}

Kernel cudnn_dense(const Inputs& x) {
  // [tokens, heads, head_dim] -> [rows, heads, length, head_dim], a view
  const auto dense = [&x](const at::Tensor& packed) {
    return packed.view({x.rows.count, x.rows.length, packed.size(1), kHeadDim}).transpose(1, 2);
  };
  const auto forward = [&x, dense] {
    const auto result = at::_scaled_dot_product_cudnn_attention(
        dense(x.q), dense(x.k), dense(x.v), /*attn_bias=*/std::nullopt,
        /*compute_log_sumexp=*/true, /*dropout_p=*/0.0, /*is_causal=*/true,
        /*return_debug_mask=*/false, x.scale);
    return Saved{std::get<0>(result), std::get<1>(result), std::get<6>(result),
                 std::get<7>(result)};
  };
  const auto backward = [&x, dense](const Saved& saved) {
    const at::Tensor none;
    return at::_scaled_dot_product_cudnn_attention_backward(
        dense(x.dout), dense(x.q), dense(x.k), dense(x.v), saved.out, saved.lse, saved.seed,
        saved.offset, /*attn_bias=*/none, /*cum_seq_q=*/none, /*cum_seq_k=*/none, x.rows.length,
        x.rows.length, /*dropout_p=*/0.0, /*is_causal=*/true, x.scale);
  };
  const auto by_token = [&x](const at::Tensor& result) {
    return result.transpose(1, 2).reshape({x.rows.tokens(), result.size(1), kHeadDim});
  };
  return {"cudnn_dense", forward, backward, by_token};
}

Kernel cudnn_packed(const Inputs& x) {
  struct Dense {
    at::Tensor q, k, v;
  };
  const Dense in = {x.q.contiguous(), x.k.contiguous(), x.v.contiguous()};
  const auto forward = [&x, in] {
    const auto result = at::_cudnn_attention_forward(
        in.q, in.k, in.v, /*attn_bias=*/std::nullopt, x.cu_seqlens, x.cu_seqlens, x.rows.length,
        x.rows.length, /*compute_log_sumexp=*/true, /*dropout_p=*/0.0, /*is_causal=*/true,
        /*return_debug_mask=*/false, x.scale);
    return Saved{std::get<0>(result), std::get<1>(result), std::get<6>(result),
                 std::get<7>(result)};
  };
  const auto backward = [&x, in](const Saved& saved) {
    return at::_cudnn_attention_backward(x.dout, in.q, in.k, in.v, saved.out, saved.lse, saved.seed,
                                         saved.offset, /*attn_bias=*/at::Tensor(), x.cu_seqlens,
                                         x.cu_seqlens, x.rows.length, x.rows.length,
                                         /*dropout_p=*/0.0, /*is_causal=*/true, x.scale);
  };
  return {"cudnn_packed", forward, backward};
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

struct Results {
  at::Tensor out;
  Gradients gradients;
};

Results results_of(const Kernel& kernel) {
  const Saved saved = kernel.forward();
  const auto [dq, dk, dv] = kernel.backward(saved);
  return {kernel.by_token(saved.out),
          {kernel.by_token(dq), kernel.by_token(dk), kernel.by_token(dv)}};
}

void record(const std::string& key, double value) {
  ::testing::Test::RecordProperty(key, fmt::format("{:.4g}", value));
}

void record_times(const Kernel& kernel, const Rows& rows) {
  const double forward = milliseconds_of([&] { kernel.forward(); });
  const Saved saved = kernel.forward();
  const double backward = milliseconds_of([&] { kernel.backward(saved); });
  record(kernel.name + "_forward_ms", forward);
  record(kernel.name + "_backward_ms", backward);
  record(kernel.name + "_tflops", rows.flops() / (forward + backward) * 1e-9);
}

// What `kernel` gives; nothing, and a record of why, where ATen refuses it. Faults of the GPU and a
// lack of memory are no refusals: they are thrown.
std::optional<Results> results_unless_refused(const Kernel& kernel) {
  try {
    Results results = results_of(kernel);
    gpu().synchronize();  // faults of its kernels come to light
    return results;
  } catch (const c10::AcceleratorError&) {
    throw;
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    ::testing::Test::RecordProperty(kernel.name, "refused: " + text.substr(0, text.find('\n')));
  }
  gpu().synchronize();  // cuDNN's message for a fault is a c10::Error too; the fault stays
  return std::nullopt;
}

// Records what `kernel` takes and how far it is from `expected`, or why it is refused.
void compare(const Kernel& kernel, const Rows& rows, const Results& expected) {
  const std::optional<Results> got = results_unless_refused(kernel);
  if (!got) return;
  const double out = difference(got->out, expected.out);
  const double gradients =
      std::max({difference(std::get<0>(got->gradients), std::get<0>(expected.gradients)),
                difference(std::get<1>(got->gradients), std::get<1>(expected.gradients)),
                difference(std::get<2>(got->gradients), std::get<2>(expected.gradients))});
  record(kernel.name + "_out_difference", out);
  record(kernel.name + "_gradient_difference", gradients);
  record_times(kernel, rows);
  // Both round to bf16, 2^-9, a few times on the way.
  EXPECT_LT(std::max(out, gradients), 2e-2) << kernel.name;
}

class Attention : public ::testing::TestWithParam<Rows> {};

TEST_P(Attention, CudnnAgainstFlash) {
  const c10::NoGradGuard no_grad;
  const Inputs inputs(GetParam());
  const Kernel reference = flash(inputs);
  const Results expected = results_of(reference);
  record_times(reference, inputs.rows);
  compare(cudnn_dense(inputs), inputs.rows, expected);
  compare(cudnn_packed(inputs), inputs.rows, expected);
}

INSTANTIATE_TEST_SUITE_P(Rows, Attention,
                         ::testing::Values(Rows{"1x2048", 1, 2048}, Rows{"2x2048", 2, 2048},
                                           Rows{"1x16384", 1, 16384}),
                         [](const auto& of) { return of.param.name; });

}  // namespace
}  // namespace rung::testing
