// The CUDA kernel of scaling with a check on the emulated device: equal to the CPU path bit for bit
// but for the bits of NaN (which finite_test.cpp holds to the definition), in every order of
// threads, nothing written outside.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/finite.h"
#include "tests/kernels/refusal.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::Stream;
using testing::random_values;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// As they are stored, but any NaN as the same one: a GPU's arithmetic gives another than a CPU's.
std::vector<uint32_t> bits_but_nan(std::vector<float> values) {
  for (float& value : values) value = std::isnan(value) ? kNan : value;
  return testing::bits_of(values);
}

// The first `offset` elements stay as they are.
void check(const std::vector<float>& x, float factor, size_t offset = 0) {
  SCOPED_TRACE(::testing::Message() << x.size() << " elements from " << offset);
  const auto n = static_cast<int64_t>(x.size() - offset);
  std::vector<float> expected = x;
  int32_t expected_flag = 0;
  kernels::cpu::scale_and_check(expected.data() + offset, n, factor, &expected_flag);
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device device(schedule);
    GuardedBuffer<float> scaled(x);
    GuardedBuffer<int32_t> flag(std::vector<int32_t>{0});
    kernels::cuda::scale_and_check(scaled.data() + offset, n, factor, flag.data(),
                                   Stream{device.handle()});
    EXPECT_EQ(bits_but_nan(scaled.read()), bits_but_nan(expected));
    EXPECT_EQ(flag.read().at(0), expected_flag);
    EXPECT_TRUE(scaled.intact() && flag.intact());
    EXPECT_TRUE(device.launched(1));
  }
}

TEST(ScaleAndCheckCuda, EqualsTheCpu) {
  for (const int64_t n : {1, 2, 3, 4, 31, 33, 1025, 4096, 4096 * 2 + 7}) {
    check(random_values<float>(n, 1), 0.3f);
    check(random_values<float>(n, 1, 1e38), 4.0f);
    check(random_values<float>(n, 1, 1e-38), 0.01f);
  }
}

TEST(ScaleAndCheckCuda, FindsOneValueAnywhere) {
  const size_t n = 4096 + 1027;
  for (const float bad : {kInfinity, -kInfinity, kNan}) {
    for (const size_t at : {size_t{0}, size_t{3}, size_t{1024}, size_t{4095}, n - 4, n - 1}) {
      auto x = random_values<float>(static_cast<int64_t>(n), 1);
      x[at] = bad;
      check(x, 0.5f);
    }
  }
}

TEST(ScaleAndCheckCuda, TakesMisalignedElements) {
  for (const size_t offset : {1, 2, 3}) check(random_values<float>(1100, 1), 0.3f, offset);
}

TEST(ScaleAndCheckCuda, LeavesTheFlagOfAnEarlierTensor) {
  Device device;
  GuardedBuffer<float> x(std::vector<float>{1.0f});
  GuardedBuffer<int32_t> flag(std::vector<int32_t>{1});
  kernels::cuda::scale_and_check(x.data(), 1, 2.0f, flag.data(), Stream{device.handle()});
  EXPECT_EQ(flag.read().at(0), 1);
}

TEST(ScaleAndCheckCudaLaunch, LaunchesNothingForAnEmptyTensor) {
  Device device;
  kernels::cuda::scale_and_check(nullptr, 0, 1.0f, nullptr, Stream{device.handle()});
  EXPECT_TRUE(device.launched(0));
}

TEST(ScaleAndCheckCudaLaunch, RefusesWhatNoGridCovers) {
  Device device;
  const auto launch = [&] {
    kernels::cuda::scale_and_check(nullptr, int64_t{1} << 44, 1.0f, nullptr,
                                   Stream{device.handle()});
  };
  EXPECT_EQ(testing::refusal_of(launch),
            "scale_and_check: 17592186044416 elements are too many for one launch");
}

}  // namespace
}  // namespace rung
