#include "step/optimizer.h"

#include <ATen/ATen.h>

#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::step {
namespace {

using rung::testing::random_tensor;

TEST(Optimizer, EqualsTorchAdamW) {
  const at::Tensor parameters = random_tensor({65}, 1);
  const at::Tensor expected = parameters.clone();
  const at::Tensor first = at::zeros({65});
  const at::Tensor second = at::zeros({65});
  Optimizer optimizer(parameters,
                      {.beta1 = 0.7, .beta2 = 0.9, .epsilon = 1e-6, .weight_decay = 0.2});
  for (int step = 1; step <= 4; ++step) {
    const double learning_rate = 1e-2 / step;
    const at::Tensor gradients = random_tensor({65}, 10 + static_cast<uint64_t>(step));
    optimizer.update(gradients, learning_rate, /*grad_scale=*/1.0);
    at::_fused_adamw_({expected}, {gradients}, {first}, {second}, {},
                      {at::tensor(static_cast<float>(step))}, learning_rate, 0.7, 0.9, 0.2, 1e-6,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  EXPECT_EQ(optimizer.num_updates(), 4);
  EXPECT_TRUE(
      rung::testing::close(parameters, expected, rung::testing::Tolerances<float>::kElementwise));
}

class OptimizerState : public ::testing::TestWithParam<Moments> {};

TEST_P(OptimizerState, IsAllThatGoesOn) {
  const at::Tensor parameters = random_tensor({600}, 1);
  Optimizer unbroken(parameters, {.moments = GetParam()});
  unbroken.update(random_tensor({600}, 2), 1e-2, 1.0);
  const at::Tensor saved = parameters.clone();
  Optimizer resumed(saved, {.moments = GetParam()});
  for (size_t i = 0; i < resumed.state().size(); ++i) {
    EXPECT_EQ(resumed.state()[i].name, unbroken.state()[i].name);
    at::Tensor(resumed.state()[i].tensor).copy_(unbroken.state()[i].tensor);
  }
  resumed.set_num_updates(unbroken.num_updates());
  const at::Tensor gradients = random_tensor({600}, 3);
  unbroken.update(gradients, 1e-2, 0.5);
  resumed.update(gradients, 1e-2, 0.5);
  EXPECT_TRUE(saved.equal(parameters));
}

TEST_P(OptimizerState, AnUpdateTakesNoMemory) {
  const at::Tensor parameters = random_tensor({65}, 1);
  const at::Tensor gradients = random_tensor({65}, 2);
  Optimizer optimizer(parameters, {.moments = GetParam()});
  EXPECT_EQ(rung::testing::taken_by(memory::cpu_counter(),
                                    [&] { optimizer.update(gradients, 1e-2, 1.0); })
                .peak,
            0);
}

INSTANTIATE_TEST_SUITE_P(Moments, OptimizerState, ::testing::Values(Moments::kFp32, Moments::k8bit),
                         [](const auto& info) {
                           return info.param == Moments::kFp32 ? "Fp32" : "EightBit";
                         });

TEST(Optimizer, MomentsIn8BitsTakeAQuarter) {
  const at::Tensor parameters = random_tensor({256 * 64}, 1);
  const auto bytes = [&](Moments moments) {
    return rung::testing::taken_by(memory::cpu_counter(),
                                   [&] { Optimizer optimizer(parameters, {.moments = moments}); })
        .peak;
  };
  EXPECT_EQ(bytes(Moments::k8bit), 2 * (256 * 64 + 64 * 4));
  EXPECT_EQ(bytes(Moments::kFp32), 2 * 256 * 64 * 4);
}

// The first update is AdamW's own; later ones differ by what 8 bits hold of the moments.
TEST(Optimizer, MomentsIn8BitsFollowAdamW) {
  const at::Tensor exact = random_tensor({1000}, 1);
  const at::Tensor coarse = exact.clone();
  const at::Tensor start = exact.clone();
  Optimizer fp32(exact, {});
  Optimizer eight(coarse, {.moments = Moments::k8bit});
  for (uint64_t step = 0; step < 20; ++step) {
    const at::Tensor gradients = random_tensor({1000}, 10 + step) + 1.0;
    fp32.update(gradients, 1e-3, 1.0);
    eight.update(gradients, 1e-3, 1.0);
    if (step == 0) EXPECT_TRUE(coarse.equal(exact));
  }
  EXPECT_LE(rung::testing::relative_error(coarse - start, exact - start), 0.05);
}

}  // namespace
}  // namespace rung::step
