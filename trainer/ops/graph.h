// The few lines every autograd node of rung shares.
//
// Nodes are written as torch::autograd::Node and not as Function<T>, because a Node can drop what
// it saved line by line while its backward runs; the peak of a step depends on it.
//
// A node that allocates in its backward says itself what for: on CUDA a thread of autograd's own
// runs it, which does not see the caller's memory::ComponentScope.
#pragma once

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <initializer_list>
#include <memory>
#include <utility>

namespace rung::ops {

inline bool wants_gradient(const at::Tensor& x) {
  return c10::GradMode::is_enabled() && x.requires_grad();
}

// Whether the memory of x is read through x alone, so that a result may take its place.
inline bool is_held_alone(const at::Tensor& x) {
  return x.use_count() == 1 && x.storage().use_count() == 1;
}

// A node with the differentiable inputs `inputs` (undefined ones are skipped edges), made the
// history of `outputs`: its apply() gets their gradients in this order.
template <typename NodeType, typename... Args>
void record(std::initializer_list<at::Tensor> inputs, std::initializer_list<at::Tensor> outputs,
            Args&&... args) {
  std::shared_ptr<NodeType> node(new NodeType(std::forward<Args>(args)...),
                                 torch::autograd::deleteNode);
  for (const at::Tensor& input : inputs) {
    node->add_next_edge(input.defined() ? torch::autograd::impl::gradient_edge(input)
                                        : torch::autograd::Edge());
  }
  for (const at::Tensor& output : outputs) torch::autograd::set_history(output, node);
}

}  // namespace rung::ops
