#include "ops/gemm.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::random_tensor;
using rung::testing::relative_error;

struct Case {
  std::string name;
  Precision precision;
  double tolerance;  // relative L2: one rounding of a result
};

class GemmOf : public ::testing::TestWithParam<Case> {
 protected:
  const Precision& precision() const { return GetParam().precision; }
  at::Tensor random(at::IntArrayRef sizes, uint64_t seed) const {
    return random_tensor(sizes, seed, precision().compute);
  }
};

TEST_P(GemmOf, SetWritesStridedResultsAndNothingBeside) {
  const at::Tensor a = random({5, 7}, 1);
  const at::Tensor b = random({4, 7}, 2);
  const at::Tensor wide = at::full({5, 10}, 9.0, precision().compute);
  at::Tensor c = wide.narrow(1, 3, 4);
  gemm_set(c, a, b.t(), precision());
  EXPECT_LE(relative_error(c, a.to(at::kDouble).matmul(b.to(at::kDouble).t())),
            GetParam().tolerance);
  EXPECT_TRUE((wide.narrow(1, 0, 3) == 9.0).all().item<bool>());
  EXPECT_TRUE((wide.narrow(1, 7, 3) == 9.0).all().item<bool>());
}

TEST_P(GemmOf, SetOverwritesWhatIsNotANumber) {
  const at::Tensor a = random({5, 7}, 1);
  at::Tensor c = at::full({5, 5}, NAN, precision().compute);
  gemm_set(c, a, a.t(), precision(), 0.5);
  EXPECT_TRUE(c.isfinite().all().item<bool>());
}

TEST_P(GemmOf, AddAddsTheScaledProduct) {
  const at::Tensor a = random({6, 25}, 1);
  const at::Tensor b = random({6, 4}, 2);
  at::Tensor c = random({25, 4}, 3);
  const at::Tensor expected =
      c.to(at::kDouble) + a.to(at::kDouble).t().matmul(b.to(at::kDouble)) * 0.5;
  gemm_add(c, a.t(), b, precision(), 0.5);
  EXPECT_LE(relative_error(c, expected), GetParam().tolerance);
}

TEST_P(GemmOf, AnEmptySumIsZero) {
  const at::Tensor a = random({5, 0}, 1);
  const at::Tensor b = random({0, 4}, 2);
  at::Tensor c = at::full({5, 4}, 9.0, precision().compute);
  gemm_add(c, a, b, precision());
  EXPECT_TRUE((c == 9.0).all().item<bool>());
  gemm_set(c, a, b, precision());
  EXPECT_TRUE((c == 0.0).all().item<bool>());
}

TEST_P(GemmOf, AccumulatesInFp32) {
  const at::Tensor a = random({6, 5}, 1);
  const at::Tensor b = random({6, 4}, 2);
  at::Tensor c = at::full({5, 4}, 4096.0);  // in bf16 the step here is 32
  const at::Tensor expected = a.to(at::kDouble).t().matmul(b.to(at::kDouble));
  gemm_accumulate(c, a.t(), b, precision(), 0.5);
  EXPECT_LE(relative_error(c - 4096.0, expected * 0.5), std::max(GetParam().tolerance, 1e-3));
}

INSTANTIATE_TEST_SUITE_P(
    Precisions, GemmOf,
    ::testing::Values(Case{"Fp32", {at::kFloat}, 1e-6},
                      Case{"Bf16Library", {at::kBFloat16, GemmKernel::kLibrary}, 6e-3},
                      Case{"Bf16Widening", {at::kBFloat16, GemmKernel::kWidening}, 3e-3},
                      Case{"Fp16Widening", {at::kHalf, GemmKernel::kWidening}, 4e-4}),
    [](const auto& info) { return info.param.name; });

// What oneDNN rounds to bf16 first.
TEST(Gemm, WideningAccumulatesWithoutRounding) {
  const at::Tensor a = random_tensor({600, 5}, 1, at::kBFloat16);
  const at::Tensor b = random_tensor({600, 4}, 2, at::kBFloat16);
  at::Tensor c = at::zeros({5, 4});
  gemm_accumulate(c, a.t(), b, {at::kBFloat16, GemmKernel::kWidening});
  EXPECT_LE(relative_error(c, a.to(at::kDouble).t().matmul(b.to(at::kDouble))), 1e-6);
}

TEST(Gemm, WideningRefusesOperandsThatAreDenseInNeitherDimension) {
  const Precision precision{at::kBFloat16, GemmKernel::kWidening};
  const at::Tensor dense = random_tensor({6, 6}, 1, at::kBFloat16);
  const at::Tensor sparse =
      random_tensor({12, 12}, 2, at::kBFloat16).slice(0, 0, 12, 2).slice(1, 0, 12, 2);
  at::Tensor c = at::empty({6, 6}, dense.options());
  EXPECT_THROW(gemm_set(c, sparse, dense, precision), c10::Error);
  EXPECT_THROW(gemm_set(c, dense, sparse.t(), precision), c10::Error);
}

TEST(Gemm, AsDtypeCopiesOnlyWhereItMust) {
  const at::Tensor x = random_tensor({3, 4}, 1);
  EXPECT_TRUE(as_dtype(x, at::kFloat).is_same(x));
  EXPECT_EQ(as_dtype(x, at::kBFloat16).scalar_type(), at::kBFloat16);
}

TEST(Gemm, ScaleMultipliesInPlace) {
  const at::Tensor x = random_tensor({3, 4}, 1);
  at::Tensor columns = x.narrow(1, 1, 2);
  const at::Tensor expected = columns * 0.5;
  const auto taken = rung::testing::taken_by(memory::cpu_counter(), [&] { scale_(columns, 0.5); });
  EXPECT_TRUE(x.narrow(1, 1, 2).equal(expected));
  EXPECT_EQ(taken.peak, 0);
}

}  // namespace
}  // namespace rung::ops
