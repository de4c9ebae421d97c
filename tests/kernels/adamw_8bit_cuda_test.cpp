// The CUDA kernel of 8-bit AdamW on the emulated device: equal to the CPU path bit for bit, in
// every order of threads, nothing written outside.
#include <limits>

#include "tests/kernels/adamw_8bit_case.h"
#include "tests/kernels/refusal.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::AdamWParams;
using kernels::Stream;
using testing::AdamW8bitState;
using testing::random_values;

// One update of a copy of `state` on the emulated device.
AdamW8bitState update_on_device(const AdamW8bitState& state, const std::vector<float>& grad,
                                const AdamWParams& params, const emulation::Schedule& schedule) {
  Device device(schedule);
  const GuardedBuffer<float> grads(grad);
  GuardedBuffer<float> param(state.param);
  GuardedBuffer<uint8_t> m_codes(state.m_codes);
  GuardedBuffer<uint8_t> v_codes(state.v_codes);
  GuardedBuffer<float> m_absmax(state.m_absmax);
  GuardedBuffer<float> v_absmax(state.v_absmax);
  kernels::cuda::adamw_8bit(param.data(), grads.data(), m_codes.data(), m_absmax.data(),
                            v_codes.data(), v_absmax.data(), static_cast<int64_t>(grad.size()),
                            params, Stream{device.handle()});
  EXPECT_TRUE(grads.intact() && param.intact() && m_codes.intact() && v_codes.intact() &&
              m_absmax.intact() && v_absmax.intact());
  EXPECT_TRUE(device.launched(1));
  AdamW8bitState result = state;
  result.param = param.read();
  result.m_codes = m_codes.read();
  result.v_codes = v_codes.read();
  result.m_absmax = m_absmax.read();
  result.v_absmax = v_absmax.read();
  return result;
}

// Exact: the order of operations and every rounding are prescribed.
void expect_same(const AdamW8bitState& got, const AdamW8bitState& expected) {
  EXPECT_TRUE(testing::close(got.param, expected.param, testing::kExact));
  EXPECT_TRUE(testing::close(got.m_absmax, expected.m_absmax, testing::kExact));
  EXPECT_TRUE(testing::close(got.v_absmax, expected.v_absmax, testing::kExact));
  EXPECT_EQ(got.m_codes, expected.m_codes);
  EXPECT_EQ(got.v_codes, expected.v_codes);
}

AdamWParams params_of(int64_t step) {
  return {.learning_rate = 1e-2, .weight_decay = 0.1, .step = step, .grad_scale = 0.7};
}

// Three steps, each from the CPU's state before it. Within a block, one block, several thread
// blocks with a tail.
TEST(AdamW8bitCuda, EqualsTheCpu) {
  for (const int64_t n : {1, 31, 33, 256, 1025, 8192, 20003}) {
    SCOPED_TRACE(n);
    AdamW8bitState state(random_values<float>(n, 1));
    for (int64_t step = 1; step <= 3; ++step) {
      const auto grad = testing::spread_gradients(n, static_cast<uint64_t>(step) + 1);
      AdamW8bitState expected = state;
      expected.update(grad, params_of(step));
      for (const emulation::Schedule& schedule : emulation::kSchedules) {
        expect_same(update_on_device(state, grad, params_of(step), schedule), expected);
      }
      state = expected;
    }
  }
}

// Blocks of zeros, of tiny and of huge values, with infinity and with NaN.
TEST(AdamW8bitCuda, EqualsTheCpuOnHardBlocks) {
  AdamW8bitState state(random_values<float>(256 * 6, 1));
  auto grad = random_values<float>(256 * 6, 2);
  for (size_t i = 0; i < 256; ++i) {
    grad[i] = 0.0f;
    grad[256 + i] *= 1e-37f;
    grad[512 + i] *= 1e18f;
    grad[768 + i] *= i == 3 ? std::numeric_limits<float>::infinity() : 1.0f;
    grad[1024 + i] *= i == 9 ? std::nanf("") : 1.0f;
  }
  for (int64_t step = 1; step <= 2; ++step) {
    AdamW8bitState expected = state;
    expected.update(grad, params_of(step));
    expect_same(update_on_device(state, grad, params_of(step), {}), expected);
    state = expected;
  }
}

TEST(AdamW8bitCudaLaunch, RefusesMisalignedPointers) {
  GuardedBuffer<float> floats(8);
  GuardedBuffer<uint8_t> codes(8);
  const auto refusal = [&](int param, int grad, int m_codes, int v_codes) {
    return testing::refusal_of([=, &floats, &codes] {
      kernels::cuda::adamw_8bit(floats.data() + param, floats.data() + grad, codes.data() + m_codes,
                                floats.data(), codes.data() + v_codes, floats.data(), 4, {}, {});
    });
  };
  EXPECT_EQ(refusal(1, 0, 0, 0), "adamw_8bit: param is not aligned to 16 bytes");
  EXPECT_EQ(refusal(0, 1, 0, 0), "adamw_8bit: grad is not aligned to 16 bytes");
  EXPECT_EQ(refusal(0, 0, 2, 0), "adamw_8bit: m_codes is not aligned to 4 bytes");
  EXPECT_EQ(refusal(0, 0, 0, 2), "adamw_8bit: v_codes is not aligned to 4 bytes");
}

TEST(AdamW8bitCudaLaunch, LaunchesNothingForAnEmptyBuffer) {
  Device device;
  kernels::cuda::adamw_8bit(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0, {},
                            Stream{device.handle()});
  EXPECT_TRUE(device.launched(0));
}

}  // namespace
}  // namespace rung
