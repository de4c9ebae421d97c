// AdamW's CUDA kernel on the emulated device: equal to the CPU path bit for bit (which
// adamw_test.cpp holds to torch), in every order of threads, nothing written outside.
#include "kernels/adamw.h"
#include "tests/kernels/refusal.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::AdamWParams;
using kernels::Stream;
using testing::random_values;

struct State {
  std::vector<float> param;
  std::vector<float> m;
  std::vector<float> v;
};

State random_state(int64_t n) {
  State state = {random_values<float>(n, 1), random_values<float>(n, 2, 0.1),
                 random_values<float>(n, 3, 0.1)};
  for (float& value : state.v) value *= value;
  return state;
}

constexpr AdamWParams kParams = {.learning_rate = 3e-3,
                                 .beta1 = 0.8,
                                 .beta2 = 0.95,
                                 .epsilon = 1e-6,
                                 .weight_decay = 0.05,
                                 .step = 7,
                                 .grad_scale = 0.37};

// Exact: the order of operations and every rounding are prescribed.
void expect_updated_as_on_cpu(const State& initial, const std::vector<float>& grad) {
  const auto n = static_cast<int64_t>(grad.size());
  State expected = initial;
  kernels::cpu::adamw(expected.param.data(), grad.data(), expected.m.data(), expected.v.data(), n,
                      kParams);
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device device(schedule);
    const GuardedBuffer<float> grads(grad);
    GuardedBuffer<float> param(initial.param);
    GuardedBuffer<float> m(initial.m);
    GuardedBuffer<float> v(initial.v);
    kernels::cuda::adamw(param.data(), grads.data(), m.data(), v.data(), n, kParams,
                         Stream{device.handle()});
    EXPECT_TRUE(testing::close(param.read(), expected.param, testing::kExact)) << n;
    EXPECT_TRUE(testing::close(m.read(), expected.m, testing::kExact)) << n;
    EXPECT_TRUE(testing::close(v.read(), expected.v, testing::kExact)) << n;
    EXPECT_TRUE(grads.intact() && param.intact() && m.intact() && v.intact()) << n;
    EXPECT_TRUE(device.launched(1));
  }
}

TEST(AdamWCuda, EqualsTheCpu) {
  for (const int64_t n : {1, 31, 33, 1024, 1025, 36864, 36867}) {
    expect_updated_as_on_cpu(random_state(n), random_values<float>(n, 4));
  }
}

// Moments, gradients and products that are denormal or next to overflow, and values that cancel.
TEST(AdamWCuda, EqualsTheCpuAtTheEndsOfTheRange) {
  State state = random_state(1025);
  auto grad = random_values<float>(1025, 4);
  for (size_t i = 0; i < grad.size(); ++i) {
    const float scale = std::ldexp(1.0f, static_cast<int>(i % 190) - 126);
    grad[i] = i % 3 == 0 ? state.m[i] / 0.37f : grad[i] * scale;
    state.m[i] *= i % 3 == 0 ? 1.0f : scale;
    state.v[i] *= i % 2 == 0 ? 1e-38f : scale;
  }
  expect_updated_as_on_cpu(state, grad);
}

TEST(AdamWCudaLaunch, RefusesMisalignedPointers) {
  GuardedBuffer<float> good(8);
  float* bad = good.data() + 1;
  float* ok = good.data();
  const auto refusal = [](float* param, float* grad, float* m, float* v) {
    return testing::refusal_of([=] { kernels::cuda::adamw(param, grad, m, v, 4, {}, {}); });
  };
  EXPECT_EQ(refusal(bad, ok, ok, ok), "adamw: param is not aligned to 16 bytes");
  EXPECT_EQ(refusal(ok, bad, ok, ok), "adamw: grad is not aligned to 16 bytes");
  EXPECT_EQ(refusal(ok, ok, bad, ok), "adamw: m is not aligned to 16 bytes");
  EXPECT_EQ(refusal(ok, ok, ok, bad), "adamw: v is not aligned to 16 bytes");
}

TEST(AdamWCudaLaunch, LaunchesNothingForAnEmptyBuffer) {
  Device device;
  kernels::cuda::adamw(nullptr, nullptr, nullptr, nullptr, 0, {}, Stream{device.handle()});
  EXPECT_TRUE(device.launched(0));
}

}  // namespace
}  // namespace rung
