// From tensors to typed kernel pointers.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <type_traits>

#include "kernels/dtype.h"

namespace rung::ops {

template <typename T>
struct ScalarTypeOf;
template <>
struct ScalarTypeOf<float> {
  static constexpr c10::ScalarType value = c10::kFloat;
};
template <>
struct ScalarTypeOf<kernels::bf16> {
  static constexpr c10::ScalarType value = c10::kBFloat16;
};
template <>
struct ScalarTypeOf<kernels::fp16> {
  static constexpr c10::ScalarType value = c10::kHalf;
};

// Pointer to the elements of `tensor`, whose dtype must be T's (T may be const).
template <typename T>
T* data_of(const at::Tensor& tensor) {
  TORCH_INTERNAL_ASSERT(tensor.scalar_type() == ScalarTypeOf<std::remove_const_t<T>>::value);
  if constexpr (std::is_const_v<T>) {
    return static_cast<T*>(tensor.const_data_ptr());
  } else {
    return static_cast<T*>(tensor.mutable_data_ptr());
  }
}

// Calls f.template operator()<T>() with the element type of `dtype`, bf16 or fp16.
template <typename F>
void with_16_bit_type(c10::ScalarType dtype, F&& f) {
  if (dtype == c10::kHalf) {
    f.template operator()<kernels::fp16>();
  } else {
    TORCH_INTERNAL_ASSERT(dtype == c10::kBFloat16);
    f.template operator()<kernels::bf16>();
  }
}

// The same for fp32 as well.
template <typename F>
void with_type(c10::ScalarType dtype, F&& f) {
  if (dtype == c10::kFloat) {
    f.template operator()<float>();
  } else {
    with_16_bit_type(dtype, f);
  }
}

}  // namespace rung::ops
