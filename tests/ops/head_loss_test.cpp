#include "ops/head_loss.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>
#include <vector>

#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::random_tensor;
using rung::testing::relative_error;
using rung::testing::Taken;

constexpr int64_t kHidden = 24;
constexpr int64_t kVocab = 77;
constexpr float kGradScale = 0.125f;

Head make_head(c10::ScalarType dtype, int64_t vocab = kVocab, int64_t hidden = kHidden) {
  return {.norm = {random_tensor({hidden}, 1, dtype), 1e-5},
          .weight = random_tensor({vocab, hidden}, 2, dtype)};
}

// Every third token and the last one teach nothing.
std::vector<int32_t> make_targets(int64_t tokens, int64_t vocab = kVocab) {
  std::vector<int32_t> targets;
  for (int64_t i = 0; i < tokens; ++i) {
    const bool ignored = i % 3 == 1 || i + 1 == tokens;
    targets.push_back(ignored ? -100 : static_cast<int32_t>((i * 31 + 5) % vocab));
  }
  return targets;
}

double sum_of(const HeadLoss& loss) { return loss.loss_sum.item<double>(); }

// The loss of targets given on the host.
HeadLoss loss_of(const at::Tensor& x, const Head& head, const std::vector<int32_t>& targets,
                 const HeadLossOptions& options) {
  return head_loss(x, head, supervised_rows(targets, options.precision, x.device()), options);
}

struct Expected {
  double loss_sum = 0.0;
  at::Tensor dx;
};

// log_softmax of all tokens at once, in double precision.
Expected reference(const at::Tensor& x, const Head& head, const std::vector<int32_t>& targets) {
  const at::Tensor wide = x.detach().to(at::kDouble).requires_grad_();
  const at::Tensor h = wide * (wide.square().mean(-1, true) + head.norm.eps).rsqrt() *
                       head.norm.weight.to(at::kDouble);
  const at::Tensor logits = h.matmul(head.weight.to(at::kDouble).t());
  const at::Tensor index = at::tensor(std::vector<int64_t>(targets.begin(), targets.end()));
  const at::Tensor loss = at::cross_entropy_loss(logits, index, {}, at::Reduction::Sum, -100);
  const at::Tensor dx =
      torch::autograd::grad({loss}, {wide}, {at::full({}, kGradScale, at::kDouble)})[0];
  return {loss.item<double>(), dx};
}

struct Case {
  std::string name;
  Precision precision;
  double tolerance;  // of the gradient, relative L2
};

class HeadLossOf : public ::testing::TestWithParam<Case> {
 protected:
  c10::ScalarType compute() const { return GetParam().precision.compute; }
};

TEST_P(HeadLossOf, ValueAndGradientEqualCrossEntropy) {
  const Head head = make_head(compute());
  const at::Tensor x = random_tensor({50, kHidden}, 3, compute());
  const std::vector<int32_t> targets = make_targets(50);
  const Expected expected = reference(x, head, targets);
  const HeadLoss got =
      loss_of(x, head, targets, {.precision = GetParam().precision, .grad_scale = kGradScale});
  EXPECT_NEAR(sum_of(got), expected.loss_sum, GetParam().tolerance * expected.loss_sum);
  EXPECT_EQ(got.dx.scalar_type(), compute());
  EXPECT_LE(relative_error(got.dx, expected.dx), GetParam().tolerance);
}

TEST_P(HeadLossOf, ChunksDoNotChangeIt) {
  const Head head = make_head(compute());
  const at::Tensor x = random_tensor({50, kHidden}, 3, compute());
  const std::vector<int32_t> targets = make_targets(50);
  HeadLossOptions options{.precision = GetParam().precision, .grad_scale = kGradScale};
  const HeadLoss whole = loss_of(x, head, targets, options);
  for (const int64_t rows : {1, 7, 32}) {
    options.chunk_bytes = rows * kVocab * 4;
    const HeadLoss chunked = loss_of(x, head, targets, options);
    EXPECT_NEAR(sum_of(chunked), sum_of(whole), 1e-6 * sum_of(whole)) << rows;
    // A GEMM of other sizes may add in another order, which can move a rounding to bf16.
    EXPECT_LE(relative_error(chunked.dx, whole.dx), compute() == at::kFloat ? 1e-6 : 2e-3) << rows;
  }
}

TEST_P(HeadLossOf, TokensThatTeachNothingHaveNoGradient) {
  const Head head = make_head(compute());
  const std::vector<int32_t> targets = make_targets(50);
  const HeadLoss got = loss_of(random_tensor({50, kHidden}, 3, compute()), head, targets,
                               {.precision = GetParam().precision, .grad_scale = kGradScale});
  for (size_t i = 0; i < targets.size(); ++i) {
    const bool zero = got.dx[static_cast<int64_t>(i)].abs().sum().item<double>() == 0.0;
    EXPECT_EQ(zero, targets[i] < 0) << i;
  }
}

TEST_P(HeadLossOf, WithoutTargetsThereIsNothing) {
  const Head head = make_head(compute());
  const HeadLoss got =
      loss_of(random_tensor({4, kHidden}, 3, compute()), head, std::vector<int32_t>(4, -100),
              {.precision = GetParam().precision, .grad_scale = kGradScale});
  EXPECT_EQ(sum_of(got), 0.0);
  EXPECT_EQ(got.dx.abs().sum().item<double>(), 0.0);
}

TEST_P(HeadLossOf, WithoutAScaleThereIsNoGradientAndTheSameLoss) {
  const Head head = make_head(compute());
  const at::Tensor x = random_tensor({50, kHidden}, 3, compute());
  const std::vector<int32_t> targets = make_targets(50);
  HeadLossOptions options{.precision = GetParam().precision};
  const HeadLoss without = loss_of(x, head, targets, options);
  options.grad_scale = kGradScale;
  EXPECT_FALSE(without.dx.defined());
  EXPECT_EQ(sum_of(without), sum_of(loss_of(x, head, targets, options)));
}

TEST_P(HeadLossOf, LogitsEqualTheProduct) {
  const Head head = make_head(compute());
  const at::Tensor x = random_tensor({5, kHidden}, 3, compute());
  const at::Tensor wide = x.to(at::kDouble);
  const at::Tensor h = wide * (wide.square().mean(-1, true) + head.norm.eps).rsqrt() *
                       head.norm.weight.to(at::kDouble);
  const at::Tensor got = head_logits(x, head, GetParam().precision);
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LE(relative_error(got, h.matmul(head.weight.to(at::kDouble).t())), GetParam().tolerance);
}

TEST_P(HeadLossOf, MetaTakesWhatTheCpuTakes) {
  const std::vector<int32_t> targets = make_targets(50);
  const auto taken = [&](memory::Counter& counter, c10::Device device) {
    Head head = make_head(compute());
    head = {.norm = {head.norm.weight.to(device), head.norm.eps}, .weight = head.weight.to(device)};
    const at::Tensor x = random_tensor({50, kHidden}, 3, compute()).to(device);
    return rung::testing::taken_by(counter, [&] {
      loss_of(x, head, targets,
              {.precision = GetParam().precision,
               .grad_scale = kGradScale,
               .chunk_bytes = 10 * kVocab * 4});
    });
  };
  const Taken cpu = taken(memory::cpu_counter(), at::kCPU);
  EXPECT_EQ(taken(memory::meta_counter(), at::kMeta), cpu);
  EXPECT_EQ(cpu.at_peak[static_cast<size_t>(memory::Component::kOther)], 0);
}

// A rounded h, logits and gradient of them: some 2^-8 in all.
INSTANTIATE_TEST_SUITE_P(
    Precisions, HeadLossOf,
    ::testing::Values(Case{"Fp32", {at::kFloat}, 2e-6},
                      Case{"Bf16Widening", {at::kBFloat16, GemmKernel::kWidening}, 1e-2},
                      Case{"Bf16Native", {at::kBFloat16, GemmKernel::kLibrary}, 1e-2}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rung::ops
