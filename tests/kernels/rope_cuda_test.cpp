// The CUDA kernel of the rotary embedding on the emulated device: exact, since every rounding is
// prescribed, in every order of threads, nothing written outside.
#include "tests/kernels/rope_case.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung::test {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::bf16;
using kernels::fp16;
using kernels::RopeDirection;
using kernels::RopeShape;
using kernels::Stream;
using testing::close;
using testing::kExact;
using testing::RopeCase;
using testing::Tolerances;

// Two products and their sum, each rounded to float: in double none of them is inexact before its
// rounding but the sum, and rounding that twice is harmless.
float rounded_sum(double a, double b, double c, double d) {
  const auto first = static_cast<float>(a * b);
  const auto second = static_cast<float>(c * d);
  return static_cast<float>(static_cast<double>(first) + static_cast<double>(second));
}

template <typename T>
std::vector<T> prescribed(const RopeCase<T>& c, RopeDirection direction) {
  std::vector<T> x = c.x;
  const int64_t half = c.shape.head_dim / 2;
  const double sign = testing::sign_of(direction);
  for (int64_t t = 0; t < c.shape.tokens; ++t) {
    for (int64_t h = 0; h < c.shape.heads; ++h) {
      for (int64_t i = 0; i < half; ++i) {
        const auto first = static_cast<size_t>(t * c.shape.token_stride + h * c.shape.head_dim + i);
        const auto second = first + static_cast<size_t>(half);
        const auto angle = static_cast<size_t>(c.positions[static_cast<size_t>(t)] * half + i);
        const double a = testing::as_double(c.x[first]);
        const double b = testing::as_double(c.x[second]);
        const double cosine = c.table.cos[angle];
        const double sine = sign * c.table.sin[angle];
        x[first] = kernels::from_float<T>(rounded_sum(a, cosine, b, -sine));
        x[second] = kernels::from_float<T>(rounded_sum(b, cosine, a, sine));
      }
    }
  }
  return x;
}

template <typename T>
class RopeCuda : public ::testing::Test {};
using Types = ::testing::Types<float, bf16, fp16>;
TYPED_TEST_SUITE(RopeCuda, Types);

template <typename T>
void check(const RopeCase<T>& c, RopeDirection direction) {
  SCOPED_TRACE(::testing::Message() << c.shape.tokens << " x " << c.shape.heads << " x "
                                    << c.shape.head_dim << " by " << c.shape.token_stride);
  const GuardedBuffer<float> cos(c.table.cos);
  const GuardedBuffer<float> sin(c.table.sin);
  const GuardedBuffer<int32_t> positions(c.positions);
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device device(schedule);
    GuardedBuffer<T> x(c.x);
    kernels::cuda::rope_(x.data(), cos.data(), sin.data(), positions.data(), c.shape, direction,
                         Stream{device.handle()});
    EXPECT_TRUE(close(x.read(), prescribed(c, direction), kExact));
    EXPECT_TRUE(close(x.read(), reference_rope(c, direction), Tolerances<T>::kElementwise));
    EXPECT_TRUE(x.intact() && cos.intact() && sin.intact() && positions.intact());
    EXPECT_TRUE(device.launched(1));
  }
}

TYPED_TEST(RopeCuda, RotatesInPackets) {
  for (const RopeDirection direction : {RopeDirection::kForward, RopeDirection::kInverse}) {
    check(RopeCase<TypeParam>(33, 3, 64, 0), direction);
    check(RopeCase<TypeParam>(1, 1, 16, 8), direction);
    check(RopeCase<TypeParam>(31, 5, 80, 16), direction);
  }
  // 9 query and 3 key heads of a packed row, value heads behind; more threads than a block has.
  check(RopeCase<TypeParam>(29, 12, 64, 3 * 64), RopeDirection::kForward);
  check(RopeCase<TypeParam>(3, 71, 128, 0), RopeDirection::kForward);
}

TYPED_TEST(RopeCuda, RotatesByElementWhatIsNotAligned) {
  for (const int64_t head_dim : {2, 62}) {
    check(RopeCase<TypeParam>(31, 5, head_dim, 5), RopeDirection::kForward);
    check(RopeCase<TypeParam>(33, 1, head_dim, 0), RopeDirection::kInverse);
  }
  check(RopeCase<TypeParam>(1025, 1, 6, 0), RopeDirection::kForward);
  // Tokens that are aligned, of heads that are not: in 16-bit types, and in all of them.
  check(RopeCase<TypeParam>(31, 4, 24, 0), RopeDirection::kForward);
  check(RopeCase<TypeParam>(31, 4, 6, 0), RopeDirection::kForward);
  check(RopeCase<TypeParam>(5, 29, 64, 1), RopeDirection::kForward);
}

// Heads that are aligned by their lengths, in memory that is not.
TYPED_TEST(RopeCuda, TakesMisalignedPointersByElement) {
  const RopeCase<TypeParam> c(3, 2, 64, 0);
  const GuardedBuffer<float> cos(c.table.cos);
  const GuardedBuffer<float> sin(c.table.sin);
  const GuardedBuffer<int32_t> positions(c.positions);
  std::vector<TypeParam> shifted = c.x;
  shifted.insert(shifted.begin(), kernels::from_float<TypeParam>(7.0f));
  GuardedBuffer<TypeParam> x(shifted);
  Device device;
  kernels::cuda::rope_(x.data() + 1, cos.data(), sin.data(), positions.data(), c.shape,
                       RopeDirection::kForward, Stream{device.handle()});
  std::vector<TypeParam> expected = prescribed(c, RopeDirection::kForward);
  expected.insert(expected.begin(), shifted.front());
  EXPECT_TRUE(close(x.read(), expected, kExact));
}

TEST(RopeCudaLaunch, RefusesAnOddHeadDimension) {
  Device device;
  const RopeShape shape = {.tokens = 1, .heads = 1, .head_dim = 3, .token_stride = 3};
  try {
    kernels::cuda::rope_<float>(nullptr, nullptr, nullptr, nullptr, shape, RopeDirection::kForward,
                                Stream{device.handle()});
    FAIL() << "nothing was thrown";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "rope_: head_dim must be even, got 3");
  }
}

TEST(RopeCudaLaunch, LaunchesNothingForNoTokens) {
  Device device;
  const RopeShape shape = {.tokens = 0, .heads = 1, .head_dim = 64, .token_stride = 64};
  kernels::cuda::rope_<float>(nullptr, nullptr, nullptr, nullptr, shape, RopeDirection::kForward,
                              Stream{device.handle()});
  EXPECT_TRUE(device.launched(0));
}

}  // namespace
}  // namespace rung::test
