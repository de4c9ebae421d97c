#include "ops/gemm.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <c10/core/GradMode.h>

#include "kernels/gemm.h"
#include "memory/counter.h"
#include "ops/dispatch.h"

namespace rung::ops {
namespace {

using kernels::cpu::GemmStore;
using memory::Component;
using memory::ComponentScope;

void check_shapes(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b) {
  TORCH_INTERNAL_ASSERT(a.size(1) == b.size(0) && c.size(0) == a.size(0) && c.size(1) == b.size(1));
}

template <typename T, typename Out>
void widening_gemm(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b, double alpha,
                   GemmStore store) {
  const auto operand = [](const at::Tensor& x) {
    TORCH_INTERNAL_ASSERT(x.stride(0) == 1 || x.stride(1) == 1);
    return kernels::cpu::GemmOperand<T>{data_of<const T>(x), x.stride(0), x.stride(1)};
  };
  kernels::cpu::gemm<T, Out>({.m = c.size(0), .n = c.size(1), .k = a.size(1)},
                             static_cast<float>(alpha), operand(a), operand(b),
                             {data_of<Out>(c), c.stride(0), store});
}

// c in the operands' dtype, or in fp32.
void widening_gemm(const at::Tensor& c, const at::Tensor& a, const at::Tensor& b, double alpha,
                   GemmStore store) {
  TORCH_INTERNAL_ASSERT(c.is_cpu() && (c.size(1) <= 1 || c.stride(1) == 1));
  with_16_bit_type(a.scalar_type(), [&]<typename T>() {
    if (c.scalar_type() == c10::kFloat) {
      widening_gemm<T, float>(c, a, b, alpha, store);
    } else {
      widening_gemm<T, T>(c, a, b, alpha, store);
    }
  });
}

}  // namespace

void gemm_set(at::Tensor& c, const at::Tensor& a, const at::Tensor& b, const Precision& precision,
              double alpha) {
  check_shapes(c, a, b);
  if (c.is_meta()) return;
  if (precision.gemm == GemmKernel::kWidening) {
    widening_gemm(c, a, b, alpha, GemmStore::kSet);
    return;
  }
  const c10::NoGradGuard no_grad;
  const ComponentScope scope(Component::kLibrary);  // what the library takes for itself
  if (alpha == 1.0) {
    at::mm_out(c, a, b);
  } else {
    at::addmm_out(c, c, a, b, /*beta=*/0.0, alpha);  // beta 0: what c holds is not read
  }
}

void gemm_add(at::Tensor& c, const at::Tensor& a, const at::Tensor& b, const Precision& precision,
              double alpha) {
  check_shapes(c, a, b);
  if (c.is_meta()) return;
  if (precision.gemm == GemmKernel::kWidening) {
    widening_gemm(c, a, b, alpha, GemmStore::kAdd);
    return;
  }
  const c10::NoGradGuard no_grad;
  const ComponentScope scope(Component::kLibrary);
  at::addmm_out(c, c, a, b, /*beta=*/1.0, alpha);
}

void gemm_accumulate(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b,
                     const Precision& precision, double alpha) {
  if (sum.scalar_type() == a.scalar_type() || precision.gemm == GemmKernel::kWidening) {
    gemm_add(sum, a, b, precision, alpha);
    return;
  }
  TORCH_INTERNAL_ASSERT(sum.scalar_type() == c10::kFloat);
  const c10::NoGradGuard no_grad;
  if (precision.device == c10::kCUDA) {
    const ComponentScope scope(Component::kLibrary);
    if (!sum.is_meta()) at::addmm_out(sum, sum, a, b, c10::kFloat, /*beta=*/1.0, alpha);
    return;
  }
  const ComponentScope scope(Component::kWorkspace);
  at::Tensor product = at::empty({sum.size(0), sum.size(1)}, a.options());
  gemm_set(product, a, b, precision);
  const at::Tensor widened = as_dtype(product, c10::kFloat);
  if (!sum.is_meta()) sum.add_(widened, alpha);
}

void scale_(at::Tensor& x, double factor) {
  if (x.is_meta()) return;
  const c10::NoGradGuard no_grad;
  const ComponentScope scope(Component::kLibrary);
  x.mul_(factor);
}

at::Tensor as_dtype(const at::Tensor& x, c10::ScalarType dtype) {
  if (x.scalar_type() == dtype) return x;
  const ComponentScope scope(Component::kWorkspace);
  const c10::NoGradGuard no_grad;
  at::Tensor copy = at::empty(x.sizes(), x.options().dtype(dtype));
  if (!copy.is_meta()) copy.copy_(x);
  return copy;
}

}  // namespace rung::ops
