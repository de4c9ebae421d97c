// Cross-entropy of rows of logits: loss = log(sum(exp(logit))) - logit[target], and its gradient
// (softmax - onehot(target)) * grad_scale written over the logits.
//
// Two passes over a row: maximum and sum together (rescaled when the maximum moves), then the
// gradient. Float inside. The sum over a row: cpu:: adds up pieces of 2048 elements in float, and
// the pieces in double; cuda:: adds up the elements of one thread (one in 512) in float, and the
// threads' sums in double. Either order is fixed by vocab alone, so that a row's results depend
// neither on the rows next to it nor on threads or alignment.
//
// Pointers are host memory in cpu:: and device memory in cuda::. The CUDA launcher queues work on
// `stream` and returns. Nothing here allocates.
// Source: https://arxiv.org/abs/1805.02867 (online normaliser).
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/dtype.h"

namespace rung::kernels {

namespace cpu {

// Given logits [rows, vocab] with `stride` elements between rows and targets [rows], all below
// vocab, sets losses [rows]; with grad_scale also replaces the logits by the gradient of
// grad_scale * (sum of the losses). A row whose target is negative takes no part: loss and gradient
// are 0, its logits are not read. T: float, bf16, fp16.
template <typename T>
void cross_entropy(T* logits, const int32_t* targets, int64_t rows, int64_t vocab, int64_t stride,
                   std::optional<float> grad_scale, float* losses);

}  // namespace cpu

namespace cuda {

// As cpu::cross_entropy. Fast where logits is aligned to 16 bytes and stride is a multiple of 8 (4
// in float); other rows are accessed element by element. Throws std::invalid_argument for a stride
// below vocab, or rows or vocab past 2^31 - 1.
template <typename T>
void cross_entropy(T* logits, const int32_t* targets, int64_t rows, int64_t vocab, int64_t stride,
                   std::optional<float> grad_scale, float* losses, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
