#include "ops/rope.h"

#include <c10/core/GradMode.h>

#include "ops/graph.h"
#include "ops/kernel_set.h"

namespace rung::ops {
namespace {

using kernels::RopeDirection;
using torch::autograd::variable_list;

struct Rotation {
  RopeTable table;
  at::Tensor positions;  // [tokens] int32
  int64_t num_heads;
  int64_t head_dim;
};

void rotate_(const at::Tensor& heads, const Rotation& rotation, RopeDirection direction) {
  const kernels::RopeShape shape{.tokens = heads.size(0),
                                 .heads = rotation.num_heads,
                                 .head_dim = rotation.head_dim,
                                 .token_stride = heads.stride(0)};
  kernels_of(heads).rope(heads, rotation.table.cos, rotation.table.sin, rotation.positions, shape,
                         direction);
}

class RopeNode final : public torch::autograd::Node {
 public:
  explicit RopeNode(Rotation rotation) : rotation_(std::move(rotation)) {}

  variable_list apply(variable_list&& grads) override {
    const c10::NoGradGuard no_grad;
    // The incoming gradient is the attention node's own fresh buffer: nobody else reads it.
    rotate_(grads[0], rotation_, RopeDirection::kInverse);
    return std::move(grads);
  }
  std::string name() const override { return "Rope"; }

 private:
  Rotation rotation_;
};

}  // namespace

at::Tensor rope(const at::Tensor& heads, const RopeTable& table, const at::Tensor& positions,
                int64_t num_heads, int64_t head_dim) {
  Rotation rotation{table, positions, num_heads, head_dim};
  at::Tensor rotated;
  {
    const c10::NoGradGuard no_grad;
    rotated = heads.detach();
    rotate_(rotated, rotation, RopeDirection::kForward);
  }
  if (wants_gradient(heads)) record<RopeNode>({heads}, {rotated}, std::move(rotation));
  return rotated;
}

}  // namespace rung::ops
