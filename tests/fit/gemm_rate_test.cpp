#include "fit/gemm_rate.h"

#include <gtest/gtest.h>

#include "tests/support/counting.h"

namespace rung::fit {
namespace {

TEST(GemmRate, TakesSmallerMatricesWhereMemoryIsShort) {
  const GemmRate rate =
      measure_gemm_rate(memory::cpu_device(), ops::Precision{}, 3 * 200 * 200 * int64_t{4});
  EXPECT_EQ(rate.size, 192);
  EXPECT_GT(rate.flops_per_second, 0.0);
}

TEST(GemmRate, MeasuresOurOwnGemmWhereItMultiplies) {
  const ops::Precision precision{.compute = c10::kBFloat16, .gemm = ops::GemmKernel::kWidening};
  const GemmRate rate =
      measure_gemm_rate(memory::cpu_device(), precision, 3 * 200 * 200 * int64_t{2});
  EXPECT_EQ(rate.size, 192);
  EXPECT_GT(rate.flops_per_second, 0.0);
}

TEST(GemmRate, MeasuresWithTheSmallestWhereThereIsNone) {
  EXPECT_EQ(measure_gemm_rate(memory::cpu_device(), ops::Precision{}, -1).size, 64);
}

}  // namespace
}  // namespace rung::fit
