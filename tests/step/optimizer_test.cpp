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

TEST(Optimizer, GoesOnFromItsSavedState) {
  const at::Tensor parameters = random_tensor({65}, 1);
  Optimizer unbroken(parameters, {});
  unbroken.update(random_tensor({65}, 2), 1e-2, 1.0);
  const at::Tensor saved = parameters.clone();
  Optimizer resumed(saved, {});
  at::Tensor(resumed.first_moment()).copy_(unbroken.first_moment());
  at::Tensor(resumed.second_moment()).copy_(unbroken.second_moment());
  resumed.set_num_updates(unbroken.num_updates());
  const at::Tensor gradients = random_tensor({65}, 3);
  unbroken.update(gradients, 1e-2, 0.5);
  resumed.update(gradients, 1e-2, 0.5);
  EXPECT_TRUE(saved.equal(parameters));
}

TEST(Optimizer, AnUpdateTakesNoMemory) {
  const at::Tensor parameters = random_tensor({65}, 1);
  const at::Tensor gradients = random_tensor({65}, 2);
  Optimizer optimizer(parameters, {});
  EXPECT_EQ(rung::testing::taken_by(memory::cpu_counter(),
                                    [&] { optimizer.update(gradients, 1e-2, 1.0); })
                .peak,
            0);
}

}  // namespace
}  // namespace rung::step
