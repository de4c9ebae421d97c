// The projection against the same sums made of ATen operators in double precision.
#include "ops/project.h"

#include <torch/csrc/autograd/autograd.h>

#include <string>
#include <vector>

#include "ops/upload.h"
#include "tests/ops/random_group.h"
#include "tests/support/backward_thread.h"
#include "tests/support/counting.h"

namespace rung::ops {
namespace {

using rung::testing::GroupSpec;
using rung::testing::meta_copy;
using rung::testing::ProjectReference;
using rung::testing::random_group;
using rung::testing::random_tensor;
using rung::testing::relative_error;
using rung::testing::Taken;
using rung::testing::tolerance;
using rung::testing::WeightKind;

constexpr Precision kFp32 = {c10::kFloat};
constexpr Precision kWidening = {c10::kBFloat16, GemmKernel::kWidening};
constexpr Precision kNative = {c10::kBFloat16, GemmKernel::kLibrary};
constexpr int64_t kTokens = 13;

enum class Stage { kPlain, kNorm, kSwiglu };

struct Case {
  std::string name;
  Stage stage = Stage::kPlain;
  WeightKind weights = WeightKind::kDense;
  double dropout = 0.0;
  Precision precision = kFp32;
};

InputStage make_stage(Stage stage, const GroupSpec& spec) {
  if (stage == Stage::kNorm) {
    const at::Tensor weight = random_tensor({spec.in_features}, 70, c10::kFloat, 0.2).add_(1.0);
    return NormInput{weight.to(spec.compute), 1e-5};
  }
  if (stage == Stage::kSwiglu) return SwigluInput{};
  return PlainInput{};
}

struct Gradients {
  at::Tensor x;
  at::Tensor residual;
};

// A group, its inputs and an incoming gradient.
struct Inputs {
  GroupSpec spec;
  LinearGroup group;
  InputStage stage;
  std::vector<uint64_t> row_keys;
  at::Tensor x;
  at::Tensor dy;
  ProjectOptions options;

  explicit Inputs(const Case& c)
      : spec{.members = {{24, true, true}, {16, false, true}, {16, true, false}, {8, false, false}},
             .dropout = c.dropout,
             .weights = c.weights,
             .compute = c.precision.compute},
        group(random_group(spec)),
        stage(make_stage(c.stage, spec)) {
    const int64_t width = spec.in_features * (c.stage == Stage::kSwiglu ? 2 : 1);
    x = random_tensor({kTokens, width}, 60, spec.compute).requires_grad_();
    dy = random_tensor({kTokens, group.out_features}, 61, spec.compute);
    for (int64_t i = 0; i < kTokens; ++i) {
      row_keys.push_back(kernels::dropout_row_key(7, 3, i / 5, i % 5));
    }
    options.precision = c.precision;
    options.row_keys = upload(std::span<const uint64_t>(row_keys), c10::kCPU);
    options.residual =
        random_tensor({kTokens, group.out_features}, 62, spec.compute).requires_grad_();
  }

  Gradients backward(const at::Tensor& y) {
    const auto grads = torch::autograd::grad({y}, {x, options.residual}, {dy.clone()});
    return {grads[0], grads[1]};
  }
};

class Project : public ::testing::TestWithParam<Case> {};

TEST_P(Project, ValueAndGradientsEqualTheComposition) {
  Inputs s(GetParam());
  const ProjectReference reference(s.x, s.stage, s.group, s.options, s.row_keys);
  torch::autograd::backward({reference.y}, {s.dy.to(c10::kDouble)});
  const at::Tensor y = project(s.x, s.stage, s.group, s.options);
  const Gradients gradients = s.backward(y);
  const double limit = tolerance(s.options.precision);
  EXPECT_EQ(y.scalar_type(), s.spec.compute);
  EXPECT_EQ(gradients.x.scalar_type(), s.spec.compute);
  EXPECT_LE(relative_error(y, reference.y), limit);
  EXPECT_LE(relative_error(gradients.x, reference.x.grad()), limit);
  EXPECT_LE(relative_error(gradients.residual, reference.residual.grad()), limit);
  size_t adapter = 0;
  for (const Linear& member : s.group.members) {
    if (!member.lora.defined()) continue;
    EXPECT_LE(relative_error(member.lora.grad_a, reference.a[adapter].grad()), limit)
        << member.module;
    EXPECT_LE(relative_error(member.lora.grad_b, reference.b[adapter].grad()), limit)
        << member.module;
    ++adapter;
  }
}

TEST_P(Project, UnreadOutputHasTheSameGradients) {
  Inputs s(GetParam());
  const Gradients read = s.backward(project(s.x, s.stage, s.group, s.options));
  const at::Tensor grad_a = s.group.stacked_grad_a.clone();
  const at::Tensor grad_b = s.group.members[0].lora.grad_b.clone();
  s.group.stacked_grad_a.zero_();
  s.group.members[0].lora.grad_b.zero_();
  s.options.output = Output::kUnread;
  const Gradients unread = s.backward(project(s.x, s.stage, s.group, s.options));
  EXPECT_TRUE(unread.x.equal(read.x));
  EXPECT_TRUE(unread.residual.equal(read.residual));
  EXPECT_TRUE(s.group.stacked_grad_a.equal(grad_a));
  EXPECT_TRUE(s.group.members[0].lora.grad_b.equal(grad_b));
}

TEST_P(Project, GradientIsCountedByNameOnAnyThread) {
  Inputs s(GetParam());
  const at::Tensor y = project(s.x, s.stage, s.group, s.options);
  EXPECT_EQ(rung::testing::unnamed_gradient(y, s.x, s.dy), 0);
}

void expect_meta_takes_what_the_cpu_takes(const Case& c, Output output) {
  Inputs s(c);
  s.options.output = output;
  const Taken cpu = rung::testing::taken_by(
      memory::cpu_counter(), [&] { s.backward(project(s.x, s.stage, s.group, s.options)); });

  Inputs m(c);
  m.options.output = output;
  m.group = meta_copy(m.group, m.spec);
  m.x = meta_copy(m.x);
  m.dy = meta_copy(m.dy);
  m.options.residual = meta_copy(m.options.residual);
  m.options.row_keys = meta_copy(m.options.row_keys);
  if (auto* norm = std::get_if<NormInput>(&m.stage)) norm->weight = meta_copy(norm->weight);
  const Taken shapes_only = rung::testing::taken_by(
      memory::meta_counter(), [&] { m.backward(project(m.x, m.stage, m.group, m.options)); });
  EXPECT_EQ(shapes_only, cpu);
}

TEST_P(Project, MetaTakesWhatTheCpuTakes) {
  expect_meta_takes_what_the_cpu_takes(GetParam(), Output::kComputed);
  expect_meta_takes_what_the_cpu_takes(GetParam(), Output::kUnread);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const auto& [stage_name, stage] : {std::pair<std::string, Stage>{"Plain", Stage::kPlain},
                                          {"Norm", Stage::kNorm},
                                          {"Swiglu", Stage::kSwiglu}}) {
    for (const auto& [weight_name, weights] :
         {std::pair<std::string, WeightKind>{"Dense", WeightKind::kDense},
          {"Nf4", WeightKind::kNf4},
          {"Nf4DoubleQuant", WeightKind::kNf4DoubleQuant}}) {
      for (const auto& [precision_name, precision] :
           {std::pair<std::string, Precision>{"Fp32", kFp32},
            {"Bf16Widening", kWidening},
            {"Bf16Native", kNative}}) {
        for (const double dropout : {0.0, 0.3}) {
          all.push_back(
              {.name = stage_name + weight_name + precision_name + (dropout > 0.0 ? "Dropout" : ""),
               .stage = stage,
               .weights = weights,
               .dropout = dropout,
               .precision = precision});
        }
      }
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Shapes, Project, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST(ProjectGroup, WithoutAnAdapterStillPassesTheGradient) {
  const GroupSpec spec{.members = {{24, false, true}}};
  const LinearGroup group = random_group(spec);
  const at::Tensor x = random_tensor({5, spec.in_features}, 60).requires_grad_();
  const at::Tensor dy = random_tensor({5, 24}, 61);
  const ProjectReference reference(x, PlainInput{}, group, {}, {});
  torch::autograd::backward({reference.y}, {dy.to(c10::kDouble)});
  const at::Tensor y = project(x, PlainInput{}, group, {});
  EXPECT_LE(relative_error(y, reference.y), 1e-6);
  EXPECT_LE(relative_error(torch::autograd::grad({y}, {x}, {dy})[0], reference.x.grad()), 1e-6);
}

TEST(ProjectGroup, GradientsOfAdaptersAreAdded) {
  const GroupSpec spec{.members = {{24, true, false}}};
  const LinearGroup group = random_group(spec);
  const at::Tensor x = random_tensor({5, spec.in_features}, 60).requires_grad_();
  const at::Tensor dy = random_tensor({5, 24}, 61);
  const auto run = [&] {
    torch::autograd::grad({project(x, PlainInput{}, group, {})}, {x}, {dy.clone()});
  };
  run();
  const at::Tensor once = group.stacked_grad_a.clone();
  const at::Tensor once_b = group.members[0].lora.grad_b.clone();
  run();
  EXPECT_LE(relative_error(group.stacked_grad_a, once * 2), 1e-6);
  EXPECT_LE(relative_error(group.members[0].lora.grad_b, once_b * 2), 1e-6);
}

TEST(ProjectGroup, KeepsNothingButItsInput) {
  const GroupSpec spec{.members = {{24, true, true}}, .weights = WeightKind::kNf4};
  const LinearGroup group = random_group(spec);
  const at::Tensor x = random_tensor({64, 2 * spec.in_features}, 60).requires_grad_();
  const rung::testing::Measured measured(memory::cpu_counter());
  const at::Tensor y = project(x, SwigluInput{}, group, {});
  EXPECT_TRUE(y.requires_grad());
  EXPECT_EQ(measured.taken().live, static_cast<int64_t>(y.nbytes()));
}

TEST(ProjectGroup, TakesOneElementForAnUnreadOutput) {
  const GroupSpec spec{.members = {{24, true, true}}};
  const LinearGroup group = random_group(spec);
  const at::Tensor x = random_tensor({64, spec.in_features}, 60).requires_grad_();
  const rung::testing::Measured measured(memory::cpu_counter());
  const at::Tensor y = project(x, PlainInput{}, group, {.output = Output::kUnread});
  EXPECT_EQ(y.sizes(), at::IntArrayRef({64, 24}));
  EXPECT_LE(measured.taken().peak, 64);  // what an allocation is rounded up to
}

// The gradient of gate and up takes their place, and the stage's output that of its gradient dh:
// the projection's backward pass needs dh beside them, half as much again. What comes behind it
// here, ATen's gradient of the doubling, takes as much as gate and up.
TEST(ProjectGroup, BackwardOfSwigluTakesTheMemoryOfItsInput) {
  const GroupSpec spec{.members = {{8, true, false}}, .in_features = 512};
  const LinearGroup group = random_group(spec);
  const int64_t tokens = 256;
  const at::Tensor root = random_tensor({tokens, 2 * spec.in_features}, 60).requires_grad_();
  const at::Tensor dy = random_tensor({tokens, 8}, 61);
  at::Tensor gate_up = root * 2.0;
  const at::Tensor y = project(gate_up, SwigluInput{}, group, {});
  const auto bytes = static_cast<int64_t>(gate_up.nbytes());
  const auto peak = [&] {
    const rung::testing::Measured measured(memory::cpu_counter());
    torch::autograd::grad({y}, {root}, {dy});
    return measured.taken().peak;
  };
  gate_up.reset();
  EXPECT_LE(peak(), bytes + bytes / 8);
}

TEST(ProjectGroup, GradientsMadeInPlaceAreThoseMadeApart) {
  Inputs s({.name = "", .stage = Stage::kSwiglu, .dropout = 0.3, .precision = kWidening});
  struct Made {
    at::Tensor dx, grad_a, grad_b;
  };
  const auto make = [&](bool is_held) {
    at::Tensor gate_up = s.x * 1.0;
    const at::Tensor held = is_held ? gate_up : at::Tensor();
    const at::Tensor y = project(gate_up, s.stage, s.group, s.options);
    gate_up.reset();
    s.group.stacked_grad_a.zero_();
    s.group.members[0].lora.grad_b.zero_();
    return Made{torch::autograd::grad({y}, {s.x}, {s.dy.clone()})[0],
                s.group.stacked_grad_a.clone(), s.group.members[0].lora.grad_b.clone()};
  };
  const Made apart = make(true);
  const Made in_place = make(false);
  EXPECT_TRUE(in_place.dx.equal(apart.dx));
  EXPECT_TRUE(in_place.grad_a.equal(apart.grad_a));
  EXPECT_TRUE(in_place.grad_b.equal(apart.grad_b));
}

TEST(ProjectGroup, BackwardLeavesAnInputThatOthersHold) {
  const GroupSpec spec{.members = {{24, true, true}}};
  const LinearGroup group = random_group(spec);
  const at::Tensor x = random_tensor({5, 2 * spec.in_features}, 60).requires_grad_();
  const at::Tensor before = x.detach().clone();
  const at::Tensor y = project(x, SwigluInput{}, group, {});
  torch::autograd::grad({y}, {x}, {random_tensor({5, 24}, 61)});
  EXPECT_TRUE(x.equal(before));
}

TEST(ProjectGroup, RecordsNothingWhereNoGradientIsWanted) {
  const GroupSpec spec{.members = {{24, true, true}}};
  const LinearGroup group = random_group(spec);
  EXPECT_FALSE(
      project(random_tensor({5, spec.in_features}, 60), PlainInput{}, group, {}).requires_grad());
}

TEST(ProjectGroup, ResidentWeightGivesTheSameBits) {
  const GroupSpec spec{.members = {{24, true, true}, {16, true, false}},
                       .weights = WeightKind::kNf4};
  LinearGroup group = random_group(spec);
  const at::Tensor x = random_tensor({5, spec.in_features}, 60);
  const at::Tensor dequantised = project(x, PlainInput{}, group, {});
  group.resident_weight = stacked_weight(group, kFp32, c10::kCPU);
  EXPECT_TRUE(project(x, PlainInput{}, group, {}).equal(dequantised));
}

TEST(ProjectGroup, DropoutNeedsRowKeys) {
  const GroupSpec spec{.members = {{24, true, false}}, .dropout = 0.5};
  LinearGroup group = random_group(spec);
  const at::Tensor x = random_tensor({5, spec.in_features}, 60);
  const at::Tensor without_keys = project(x, PlainInput{}, group, {});
  group.dropout = 0.0;
  EXPECT_TRUE(project(x, PlainInput{}, group, {}).equal(without_keys));
}

// How much of the adapters' part arrives in bf16 results: 1 is all of it. The part is far below the
// rounding step of the results; added to results that are rounded already it would arrive at less
// than half.
double arrived(const Precision& precision) {
  const GroupSpec spec{.members = {{512, true, false}},
                       .in_features = 64,
                       .scaling = 1.0,
                       .b_scale = 2e-4,
                       .compute = c10::kBFloat16};
  LinearGroup group = random_group(spec);
  const at::Tensor x = random_tensor({256, spec.in_features}, 60, c10::kBFloat16);
  const ProjectOptions options{.precision = precision};
  const at::Tensor with = project(x, PlainInput{}, group, options).to(c10::kDouble);
  const Lora& lora = group.members[0].lora;
  const at::Tensor part =
      x.to(c10::kDouble).matmul(lora.a.to(c10::kDouble).t()).matmul(lora.b.to(c10::kDouble).t());
  lora.b.zero_();
  const at::Tensor without = project(x, PlainInput{}, group, options).to(c10::kDouble);
  return ((with - without) * part).sum().item<double>() / part.square().sum().item<double>();
}

TEST(ProjectGroup, SmallUpdatesArriveInBf16) {
  EXPECT_NEAR(arrived(kWidening), 1.0, 0.05);
  EXPECT_NEAR(arrived(kNative), 1.0, 0.05);
}

}  // namespace
}  // namespace rung::ops
