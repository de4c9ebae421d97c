// Sums by the CUDA kernels on the emulated device: as in double, the same bits in every order of
// threads.
#include <limits>

#include "kernels/reduce.h"
#include "tests/kernels/refusal.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::kReducePartials;
using kernels::Stream;
using testing::random_values;

using Reduction = void (*)(const float*, int64_t, double*, double*, Stream);

double run(Reduction reduction, const std::vector<float>& x,
           const emulation::Schedule& schedule = {}) {
  Device device(schedule);
  const GuardedBuffer<float> input(x);
  GuardedBuffer<double> partials(kReducePartials);
  GuardedBuffer<double> result(1);
  reduction(input.data(), static_cast<int64_t>(x.size()), partials.data(), result.data(),
            Stream{device.handle()});
  EXPECT_TRUE(input.intact() && partials.intact() && result.intact()) << x.size();
  return result.read().at(0);
}

// Less than a tile, whole tiles of 4096, tiles with tails.
const std::vector<int64_t> kSizes = {0, 1, 31, 33, 1025, 8192, 8195, 100'003};

TEST(SumOfSquaresCuda, MatchesReferenceInAnyOrderOfThreads) {
  for (const int64_t n : kSizes) {
    const auto x = random_values<float>(n, 1);
    double expected = 0.0;
    for (const float value : x) expected += static_cast<double>(value) * value;
    const double first = run(kernels::cuda::sum_of_squares, x);
    EXPECT_NEAR(first, expected, 1e-12 * expected) << n;
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      EXPECT_EQ(run(kernels::cuda::sum_of_squares, x, schedule), first) << n;
    }
  }
}

TEST(SumCuda, MatchesReferenceInAnyOrderOfThreads) {
  for (const int64_t n : kSizes) {
    const auto x = random_values<float>(n, 1);
    double expected = 0.0;
    double magnitude = 0.0;
    for (const float value : x) {
      expected += value;
      magnitude += std::abs(value);
    }
    const double first = run(kernels::cuda::sum, x);
    EXPECT_NEAR(first, expected, 1e-12 * magnitude) << n;
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      EXPECT_EQ(run(kernels::cuda::sum, x, schedule), first) << n;
    }
  }
}

// More tiles than partials, so that some blocks take two: whole numbers, the sum is exact.
TEST(SumCuda, HasNoMorePartialsThanItsWorkspace) {
  const std::vector<float> x(static_cast<size_t>(4096 * (kReducePartials + 3) + 5), 1.0f);
  EXPECT_EQ(run(kernels::cuda::sum, x), static_cast<double>(x.size()));
}

TEST(SumOfSquaresCuda, HoldsValuesWhoseSquareIsNoFloat) {
  EXPECT_NEAR(run(kernels::cuda::sum_of_squares, {1e30f, 1e-30f}), 1e60, 1e54);
}

TEST(SumOfSquaresCuda, IsNotFiniteWhereAnElementIsNot) {
  std::vector<float> x(5001, 1.0f);
  x[1000] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(run(kernels::cuda::sum_of_squares, x)));
  x[5000] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(run(kernels::cuda::sum_of_squares, x)));
}

TEST(ReduceCudaLaunch, RefusesMisalignedInput) {
  GuardedBuffer<float> x(9);
  EXPECT_EQ(testing::refusal_of([&] { kernels::cuda::sum(x.data() + 1, 8, nullptr, nullptr, {}); }),
            "sum: x is not aligned to 16 bytes");
  EXPECT_EQ(testing::refusal_of(
                [&] { kernels::cuda::sum_of_squares(x.data() + 1, 8, nullptr, nullptr, {}); }),
            "sum_of_squares: x is not aligned to 16 bytes");
}

}  // namespace
}  // namespace rung
