// Causal attention of one head of one document, forward and backward, in double with the whole
// matrix of probabilities.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace rung::reference {

struct AttentionInput {
  std::vector<double> q;  // [num_q, head_dim]
  std::vector<double> k;  // [num_k, head_dim]
  std::vector<double> v;  // [num_k, head_dim]
  size_t num_q = 0;
  size_t num_k = 0;  // query i sees keys 0 .. num_k - num_q + i
  size_t head_dim = 0;
  double scale = 1.0;
};

struct AttentionOutput {
  std::vector<double> out;  // [num_q, head_dim]
  std::vector<double> lse;  // [num_q]
  std::vector<double> p;    // [num_q, num_k]
};

inline double dot(const std::vector<double>& a, size_t row_a, const std::vector<double>& b,
                  size_t row_b, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) sum += a[row_a * n + i] * b[row_b * n + i];
  return sum;
}

inline AttentionOutput attention(const AttentionInput& in) {
  AttentionOutput result{std::vector<double>(in.num_q * in.head_dim), std::vector<double>(in.num_q),
                         std::vector<double>(in.num_q * in.num_k)};
  for (size_t i = 0; i < in.num_q; ++i) {
    const size_t visible = in.num_k - in.num_q + i + 1;
    double* p = result.p.data() + i * in.num_k;
    double max = -HUGE_VAL;
    for (size_t j = 0; j < visible; ++j) {
      p[j] = in.scale * dot(in.q, i, in.k, j, in.head_dim);
      max = std::fmax(max, p[j]);
    }
    double sum = 0.0;
    for (size_t j = 0; j < visible; ++j) sum += std::exp(p[j] - max);
    result.lse[i] = max + std::log(sum);
    for (size_t j = 0; j < visible; ++j) {
      p[j] = std::exp(p[j] - result.lse[i]);
      for (size_t d = 0; d < in.head_dim; ++d) {
        result.out[i * in.head_dim + d] += p[j] * in.v[j * in.head_dim + d];
      }
    }
  }
  return result;
}

struct AttentionGradient {
  std::vector<double> dq;
  std::vector<double> dk;
  std::vector<double> dv;
};

// dout [num_q, head_dim]
inline AttentionGradient attention_backward(const AttentionInput& in,
                                            const std::vector<double>& dout) {
  const AttentionOutput forward = attention(in);
  AttentionGradient result{std::vector<double>(in.q.size()), std::vector<double>(in.k.size()),
                           std::vector<double>(in.v.size())};
  for (size_t i = 0; i < in.num_q; ++i) {
    const double delta = dot(forward.out, i, dout, i, in.head_dim);
    for (size_t j = 0; j < in.num_k; ++j) {
      const double p = forward.p[i * in.num_k + j];
      const double ds = in.scale * p * (dot(dout, i, in.v, j, in.head_dim) - delta);
      for (size_t d = 0; d < in.head_dim; ++d) {
        result.dv[j * in.head_dim + d] += p * dout[i * in.head_dim + d];
        result.dk[j * in.head_dim + d] += ds * in.q[i * in.head_dim + d];
        result.dq[i * in.head_dim + d] += ds * in.k[j * in.head_dim + d];
      }
    }
  }
  return result;
}

}  // namespace rung::reference
