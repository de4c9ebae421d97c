// Cross-entropy of rows of logits: loss = log(sum(exp(logit))) - logit[target], and its gradient
// (softmax - onehot(target)) * grad_scale written over the logits.
//
// Two passes over a row: maximum and sum together (rescaled when the maximum moves), then the
// gradient. Float inside; the sum over a row is taken in double.
// Source: https://arxiv.org/abs/1805.02867 (online normaliser).
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/dtype.h"

namespace rung::kernels::cpu {

// Given logits [rows, vocab] with `stride` elements between rows and targets [rows], all in
// 0 .. vocab - 1, sets losses [rows]; with grad_scale also replaces the logits by the gradient of
// grad_scale * (sum of the losses). T: float, bf16.
template <typename T>
void cross_entropy(T* logits, const int32_t* targets, int64_t rows, int64_t vocab, int64_t stride,
                   std::optional<float> grad_scale, float* losses);

}  // namespace rung::kernels::cpu
