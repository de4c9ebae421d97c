// A backward pass on a thread that knows nothing of its caller, as autograd runs that of a GPU.
#pragma once

#include <torch/csrc/autograd/autograd.h>

#include <thread>

#include "memory/counting_allocator.h"

namespace rung::testing {

// Bytes of the gradient of `input` that no component claims. The counting allocators are installed.
inline int64_t unnamed_gradient(const at::Tensor& output, const at::Tensor& input,
                                const at::Tensor& gradient) {
  const auto unnamed = [] {
    return memory::cpu_counter()
        .usage()
        .live_by_component[static_cast<size_t>(memory::Component::kOther)];
  };
  const int64_t before = unnamed();
  torch::autograd::variable_list result;
  std::thread([&] { result = torch::autograd::grad({output}, {input}, {gradient}); }).join();
  return unnamed() - before;
}

}  // namespace rung::testing
