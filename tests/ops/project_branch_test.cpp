// A branch off the residual stream against the sum and the projection made one after the other.
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>

#include "memory/counter.h"
#include "ops/project.h"
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
using rung::testing::tolerance;

constexpr int64_t kTokens = 13;

struct Case {
  std::string name;
  bool has_update = false;
  Precision precision;
};

struct Gradients {
  at::Tensor x;
  at::Tensor update;  // undefined where there is none
};

// A group, the stream and its update, and the gradients that arrive.
struct Inputs {
  GroupSpec spec;
  LinearGroup group;
  NormInput norm;
  ProjectOptions options;
  at::Tensor x;
  at::Tensor update;
  at::Tensor dy;
  at::Tensor d_stream;

  explicit Inputs(const Case& c)
      : spec{.members = {{24, true, false}, {16, true, false}}, .compute = c.precision.compute},
        group(random_group(spec)),
        norm{random_tensor({spec.in_features}, 70, spec.compute, 0.2).add_(1.0), 1e-5},
        options{.precision = c.precision},
        x(random_tensor({kTokens, spec.in_features}, 60, spec.compute).requires_grad_()),
        dy(random_tensor({kTokens, group.out_features}, 61, spec.compute)),
        d_stream(random_tensor({kTokens, spec.in_features}, 62, spec.compute)) {
    if (!c.has_update) return;
    update = random_tensor({kTokens, spec.in_features}, 63, spec.compute).requires_grad_();
  }

  at::Tensor sum() const {
    return update.defined() ? (x.detach() + update.detach()) : x.detach().clone();
  }
  Branch forward() const { return project_branch(x, update, norm, group, options); }
  Gradients backward(const Branch& branch) const {
    std::vector<at::Tensor> inputs{x};
    if (update.defined()) inputs.push_back(update);
    auto grads = torch::autograd::grad({branch.y, branch.stream}, inputs, {dy, d_stream});
    grads.resize(2);
    return {grads[0], grads[1]};
  }
};

class ProjectBranch : public ::testing::TestWithParam<Case> {};

TEST_P(ProjectBranch, ValuesAreThoseOfTheSumAndItsProjection) {
  const Inputs s(GetParam());
  const Branch branch = s.forward();
  EXPECT_TRUE(branch.stream.equal(s.sum()));
  EXPECT_TRUE(branch.y.equal(project(s.sum(), s.norm, s.group, s.options)));
}

TEST_P(ProjectBranch, GradientsOfTheStreamAndTheNormAddUp) {
  const Inputs s(GetParam());
  const ProjectReference reference(s.sum(), s.norm, s.group, s.options, {});
  torch::autograd::backward({reference.y}, {s.dy.to(c10::kDouble)});
  const at::Tensor expected = reference.x.grad() + s.d_stream.to(c10::kDouble);
  const Gradients gradients = s.backward(s.forward());
  const double limit = tolerance(s.options.precision);
  EXPECT_EQ(gradients.x.scalar_type(), s.spec.compute);
  EXPECT_LE(relative_error(gradients.x, expected), limit);
  EXPECT_EQ(gradients.update.defined(), s.update.defined());
  if (s.update.defined()) EXPECT_TRUE(gradients.update.equal(gradients.x));
  EXPECT_LE(relative_error(s.group.members[0].lora.grad_a, reference.a[0].grad()), limit);
  EXPECT_LE(relative_error(s.group.members[1].lora.grad_b, reference.b[1].grad()), limit);
}

// As where the stream ends in the branch.
TEST_P(ProjectBranch, PassesTheNormsGradientWhereNoneComesAlongTheStream) {
  const Inputs s(GetParam());
  const at::Tensor leaf = s.sum().requires_grad_();
  const at::Tensor expected =
      torch::autograd::grad({project(leaf, s.norm, s.group, s.options)}, {leaf}, {s.dy})[0];
  EXPECT_TRUE(torch::autograd::grad({s.forward().y}, {s.x}, {s.dy})[0].equal(expected));
}

TEST_P(ProjectBranch, LeavesWhatOthersHold) {
  const Inputs s(GetParam());
  const at::Tensor x = s.x.detach().clone();
  const at::Tensor update = s.update.defined() ? s.update.detach().clone() : at::Tensor();
  const at::Tensor d_stream = s.d_stream.clone();
  s.backward(s.forward());
  EXPECT_TRUE(s.x.equal(x));
  if (update.defined()) EXPECT_TRUE(s.update.equal(update));
  EXPECT_TRUE(s.d_stream.equal(d_stream));
}

TEST_P(ProjectBranch, MetaTakesWhatTheCpuTakes) {
  const Inputs s(GetParam());
  const auto cpu = rung::testing::taken_by(memory::cpu_counter(), [&] { s.backward(s.forward()); });
  Inputs m(GetParam());
  m.group = meta_copy(m.group, m.spec);
  for (at::Tensor* t : {&m.x, &m.update, &m.dy, &m.d_stream, &m.norm.weight}) {
    *t = meta_copy(*t);
  }
  EXPECT_EQ(rung::testing::taken_by(memory::meta_counter(), [&] { m.backward(m.forward()); }), cpu);
}

TEST_P(ProjectBranch, GradientIsCountedByNameOnAnyThread) {
  const Inputs s(GetParam());
  EXPECT_EQ(rung::testing::unnamed_gradient(s.forward().y, s.x, s.dy), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Streams, ProjectBranch,
    ::testing::Values(Case{"Fp32", false, {c10::kFloat}}, Case{"Fp32Update", true, {c10::kFloat}},
                      Case{"Bf16Widening", false, {c10::kBFloat16, GemmKernel::kWidening}},
                      Case{"Bf16WideningUpdate", true, {c10::kBFloat16, GemmKernel::kWidening}},
                      Case{"Bf16NativeUpdate", true, {c10::kBFloat16, GemmKernel::kLibrary}}),
    [](const auto& info) { return info.param.name; });

TEST(ProjectBranchMemory, MakesTheSumInTheMemoryOfAnUpdateMovedIn) {
  const Inputs s({"", true, {c10::kFloat}});
  at::Tensor update = s.update * 1.0;
  const void* const memory = update.const_data_ptr();
  const Branch branch = project_branch(s.x, std::move(update), s.norm, s.group, s.options);
  EXPECT_EQ(branch.stream.const_data_ptr(), memory);
  EXPECT_TRUE(branch.stream.equal(s.sum()));
  const auto made =
      torch::autograd::grad({branch.y, branch.stream}, {s.x, s.update}, {s.dy, s.d_stream});
  const Gradients apart = s.backward(s.forward());
  EXPECT_TRUE(made[0].equal(apart.x));
  EXPECT_TRUE(made[1].equal(apart.update));
}

TEST(ProjectBranchMemory, IsDifferentiableInTheUpdateAlone) {
  Inputs s({"", true, {c10::kFloat}});
  const Gradients both = s.backward(s.forward());
  s.x = s.x.detach();
  const Branch branch = s.forward();
  EXPECT_TRUE(
      torch::autograd::grad({branch.y, branch.stream}, {s.update}, {s.dy, s.d_stream})[0].equal(
          both.update));
}

// What is multiplied is no activation: the plan's table says so, with an update and without.
TEST(ProjectBranchMemory, TakesWorkspaceForWhatIsMultiplied) {
  for (const bool has_update : {false, true}) {
    const Inputs s({"", has_update, {c10::kFloat}});
    const memory::ComponentScope scope(memory::Component::kActivations);
    const rung::testing::Measured measured(memory::cpu_counter());
    const Branch branch = s.forward();
    const auto at_peak = measured.taken().at_peak;
    EXPECT_LE(at_peak[static_cast<size_t>(memory::Component::kActivations)],
              static_cast<int64_t>(branch.y.nbytes() + branch.stream.nbytes() + 128));
  }
}

// The norm's input is the stream itself: the sum is not kept twice.
TEST(ProjectBranchMemory, KeepsTheStreamAlone) {
  const Inputs s({"", true, {c10::kFloat}});
  const rung::testing::Measured measured(memory::cpu_counter());
  const Branch branch = s.forward();
  EXPECT_LT(measured.taken().live,
            static_cast<int64_t>(branch.y.nbytes() + 2 * branch.stream.nbytes()));
}

TEST(ProjectBranchMemory, RecordsNothingWhereNoGradientIsWanted) {
  const Inputs s({"", true, {c10::kFloat}});
  const c10::NoGradGuard no_grad;
  const Branch branch = s.forward();
  EXPECT_FALSE(branch.y.requires_grad() || branch.stream.requires_grad());
}

}  // namespace
}  // namespace rung::ops
