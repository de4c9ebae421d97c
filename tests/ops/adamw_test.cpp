#include "ops/adamw.h"

#include <ATen/ATen.h>

#include <array>
#include <cmath>

#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::close;
using rung::testing::random_tensor;
using rung::testing::relative_error;

constexpr int64_t kCount = 1025;

double norm_of(const at::Tensor& x) {
  const at::Tensor squares = at::zeros({1}, at::kDouble);
  sum_of_squares(x, squares);
  return std::sqrt(squares.item<double>());
}

TEST(AdamW, EqualsTorchOverSeveralSteps) {
  const kernels::AdamWParams options{
      .learning_rate = 3e-3, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-7, .weight_decay = 0.1};
  at::Tensor parameters = random_tensor({kCount}, 1);
  at::Tensor first = at::zeros({kCount});
  at::Tensor second = at::zeros({kCount});
  at::Tensor expected = parameters.clone();
  at::Tensor expected_first = first.clone();
  at::Tensor expected_second = second.clone();
  for (int64_t step = 1; step <= 5; ++step) {
    const at::Tensor gradients = random_tensor({kCount}, 10 + static_cast<uint64_t>(step));
    kernels::AdamWParams params = options;
    params.step = step;
    adamw_(parameters, gradients, first, second, params);
    at::_fused_adamw_({expected}, {gradients}, {expected_first}, {expected_second}, {},
                      {at::tensor(static_cast<float>(step))}, options.learning_rate, options.beta1,
                      options.beta2, options.weight_decay, options.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false);
  }
  EXPECT_TRUE(close(parameters, expected, rung::testing::Tolerances<float>::kElementwise));
  EXPECT_LE(relative_error(first, expected_first), 1e-6);
  EXPECT_LE(relative_error(second, expected_second), 1e-6);
}

TEST(AdamW, GradScaleIsAppliedToTheGradient) {
  const auto run = [](const at::Tensor& gradients, double scale) {
    at::Tensor parameters = random_tensor({kCount}, 1);
    at::Tensor first = at::zeros({kCount});
    at::Tensor second = at::zeros({kCount});
    adamw_(parameters, gradients, first, second, {.learning_rate = 1e-3, .grad_scale = scale});
    return std::array{parameters, first, second};
  };
  const at::Tensor gradients = random_tensor({kCount}, 2);
  const auto scaled = run(gradients, 0.25);  // a power of two: no rounding
  const auto expected = run(gradients * 0.25, 1.0);
  for (size_t i = 0; i < scaled.size(); ++i) EXPECT_TRUE(scaled[i].equal(expected[i])) << i;
}

TEST(AdamW, TakesNoMemory) {
  at::Tensor parameters = random_tensor({kCount}, 1);
  const at::Tensor gradients = random_tensor({kCount}, 2);
  at::Tensor first = at::zeros({kCount});
  at::Tensor second = at::zeros({kCount});
  const at::Tensor squares = at::zeros({1}, at::kDouble);
  const auto taken = rung::testing::taken_by(memory::cpu_counter(), [&] {
    adamw_(parameters, gradients, first, second, {.learning_rate = 1e-3});
    sum_of_squares(gradients, squares);
  });
  EXPECT_EQ(taken.peak, 0);
}

TEST(SumOfSquares, EqualsThatOfTheEuclideanNorm) {
  for (const int64_t count : {1, 33, 1025, 100'003}) {
    const at::Tensor x = random_tensor({count}, 3);
    const double expected = x.to(at::kDouble).norm().item<double>();
    EXPECT_NEAR(norm_of(x), expected, 1e-6 * expected) << count;
  }
}

TEST(SumOfSquares, SaysWhereAValueIsNotFinite) {
  at::Tensor x = random_tensor({100}, 3);
  x[50] = INFINITY;
  EXPECT_FALSE(std::isfinite(norm_of(x)));
  x[50] = NAN;
  EXPECT_FALSE(std::isfinite(norm_of(x)));
}

TEST(SumOfSquares, DoesNotOverflowWhereTheSumOfSquaresPassesFloat) {
  EXPECT_NEAR(norm_of(at::full({4}, 1e30)) / 2e30, 1.0, 1e-6);
}

}  // namespace
}  // namespace rung::ops
