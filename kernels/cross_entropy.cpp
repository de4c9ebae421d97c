// Cross-entropy on the CPU: rows split over threads. A row is walked in blocks that stay in the
// first-level cache, so that maximum and sum cost one pass over memory.
#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/parallel.h"
#include "kernels/simd.h"
#include "kernels/vector_math.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kBlock = 2048;
// Where maxima start. Finite, so that exp(logit - max) is 0, not NaN, for logits of -infinity.
constexpr float kLowest = std::numeric_limits<float>::lowest();

template <typename T>
RUNG_SIMD_CLONES float max_of(const T* x, int64_t n) {
  float largest = kLowest;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, to_float(x[i]));
  return largest;
}

template <typename T>
RUNG_SIMD_CLONES float sum_exp(const T* x, int64_t n, float shift) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += fast_exp(to_float(x[i]) - shift);
  return sum;
}

// x = exp(x - shift) * factor
template <typename T>
RUNG_SIMD_CLONES void write_softmax(T* x, int64_t n, float shift, float factor) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    x[i] = from_float<T>(fast_exp(to_float(x[i]) - shift) * factor);
  }
}

struct Normaliser {
  float max = kLowest;
  double sum = 0.0;  // of exp(x - max)
};

template <typename T>
Normaliser normaliser_of(const T* x, int64_t n) {
  Normaliser result;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t count = std::min(kBlock, n - begin);
    const float block_max = max_of(x + begin, count);
    if (block_max > result.max) {
      result.sum *= std::exp(static_cast<double>(result.max) - static_cast<double>(block_max));
      result.max = block_max;
    }
    result.sum += static_cast<double>(sum_exp(x + begin, count, result.max));
  }
  return result;
}

}  // namespace

template <typename T>
void cross_entropy(T* logits, const int32_t* targets, int64_t rows, int64_t vocab, int64_t stride,
                   std::optional<float> grad_scale, float* losses) {
  parallel_for(rows, rows_per_piece(vocab), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      T* x = logits + row * stride;
      if (targets[row] < 0) {
        losses[row] = 0.0f;
        if (grad_scale) std::fill_n(x, vocab, from_float<T>(0.0f));
        continue;
      }
      const Normaliser normaliser = normaliser_of(x, vocab);
      const double log_p = static_cast<double>(to_float(x[targets[row]])) -
                           static_cast<double>(normaliser.max) - std::log(normaliser.sum);
      losses[row] = static_cast<float>(-log_p);
      if (!grad_scale) continue;
      write_softmax(x, vocab, normaliser.max, static_cast<float>(*grad_scale / normaliser.sum));
      x[targets[row]] = from_float<T>(static_cast<float>(*grad_scale * (std::exp(log_p) - 1.0)));
    }
  });
}

template void cross_entropy(float*, const int32_t*, int64_t, int64_t, int64_t, std::optional<float>,
                            float*);
template void cross_entropy(bf16*, const int32_t*, int64_t, int64_t, int64_t, std::optional<float>,
                            float*);
template void cross_entropy(fp16*, const int32_t*, int64_t, int64_t, int64_t, std::optional<float>,
                            float*);

}  // namespace rung::kernels::cpu
