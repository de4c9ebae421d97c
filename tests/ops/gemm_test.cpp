#include "ops/gemm.h"

#include <ATen/ATen.h>

#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::random_tensor;
using rung::testing::relative_error;

TEST(Gemm, SetWritesStridedResultsAndNothingBeside) {
  const at::Tensor a = random_tensor({5, 7}, 1);
  const at::Tensor b = random_tensor({4, 7}, 2);
  at::Tensor wide = at::full({5, 10}, 9.0);
  at::Tensor c = wide.narrow(1, 3, 4);
  gemm_set(c, a, b.t());
  EXPECT_LE(relative_error(c, a.to(at::kDouble).matmul(b.to(at::kDouble).t())), 1e-6);
  EXPECT_TRUE(wide.narrow(1, 0, 3).equal(at::full({5, 3}, 9.0)));
  EXPECT_TRUE(wide.narrow(1, 7, 3).equal(at::full({5, 3}, 9.0)));
}

TEST(Gemm, SetOverwritesWhatIsNotANumber) {
  const at::Tensor a = random_tensor({5, 7}, 1);
  at::Tensor c = at::full({5, 5}, NAN);
  gemm_set(c, a, a.t());
  EXPECT_TRUE(c.isfinite().all().item<bool>());
}

TEST(Gemm, AddAddsTheScaledProduct) {
  const at::Tensor a = random_tensor({6, 5}, 1);
  const at::Tensor b = random_tensor({6, 4}, 2);
  at::Tensor c = random_tensor({5, 4}, 3);
  const at::Tensor expected =
      c.to(at::kDouble) + a.to(at::kDouble).t().matmul(b.to(at::kDouble)) * 0.5;
  gemm_add(c, a.t(), b, 0.5);
  EXPECT_LE(relative_error(c, expected), 1e-6);
}

TEST(Gemm, AccumulatesBf16ProductsInFp32) {
  const at::Tensor a = random_tensor({6, 5}, 1, at::kBFloat16);
  const at::Tensor b = random_tensor({6, 4}, 2, at::kBFloat16);
  at::Tensor c = at::full({5, 4}, 4096.0);  // in bf16 the step here is 32
  const at::Tensor expected = a.to(at::kDouble).t().matmul(b.to(at::kDouble));
  gemm_accumulate(c, a.t(), b, /*alpha=*/0.5, {c10::kBFloat16, c10::kBFloat16});
  EXPECT_LE(relative_error(c - 4096.0, expected * 0.5), 6e-3);
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
