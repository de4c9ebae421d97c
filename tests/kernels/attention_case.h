// A random attention problem over several documents, its result by the reference, and its result by
// the kernels, for the tests of attention's forward and backward passes.
#pragma once

#include <algorithm>
#include <cmath>
#include <ostream>
#include <vector>

#include "kernels/attention.h"
#include "tests/reference/attention.h"
#include "tests/support/kernel_inputs.h"

namespace rung::testing {

struct Document {
  int64_t num_q = 0;
  int64_t num_k = 0;
};

struct AttentionCase {
  int64_t num_heads = 1;
  int64_t num_kv_heads = 1;
  int64_t head_dim = 16;
  std::vector<Document> documents;

  friend std::ostream& operator<<(std::ostream& out, const AttentionCase& c) {
    out << c.num_heads << "/" << c.num_kv_heads << " heads of " << c.head_dim << ", documents";
    for (const Document& d : c.documents) out << " " << d.num_q << ":" << d.num_k;
    return out;
  }
};

// Rows of every tensor have a gap behind them, and one row in front belongs to no document.
template <typename T>
struct AttentionProblem {
  explicit AttentionProblem(const AttentionCase& attention_case) : c(attention_case) {
    int64_t q_rows = 1;
    int64_t k_rows = 1;
    for (const Document& d : c.documents) {
      segments.push_back({q_rows, d.num_q, k_rows, d.num_k});
      q_rows += d.num_q;
      k_rows += d.num_k;
    }
    const int64_t q_columns = c.num_heads * c.head_dim;
    const int64_t kv_columns = c.num_kv_heads * c.head_dim;
    shape = {.num_heads = c.num_heads,
             .num_kv_heads = c.num_kv_heads,
             .head_dim = c.head_dim,
             .num_q_rows = q_rows,
             .q_stride = q_columns + 3,
             .k_stride = kv_columns + 5,
             .v_stride = kv_columns + 1,
             .out_stride = q_columns + 2,
             .scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(c.head_dim)))};
    q = random_values<T>(q_rows * shape.q_stride, 1);
    k = random_values<T>(k_rows * shape.k_stride, 2);
    v = random_values<T>(k_rows * shape.v_stride, 3);
    dout = random_values<T>(q_rows * shape.out_stride, 4);
    out.resize(dout.size(), kernels::from_float<T>(7.0f));
    lse.resize(static_cast<size_t>(c.num_heads * q_rows), 7.0f);
    dq.resize(q.size(), kernels::from_float<T>(7.0f));
    dk.resize(k.size(), kernels::from_float<T>(7.0f));
    dv.resize(v.size(), kernels::from_float<T>(7.0f));
  }

  void forward() {
    kernels::cpu::attention_forward(q.data(), k.data(), v.data(), shape, segments, out.data(),
                                    lse.data());
  }

  void backward() {
    const auto size = kernels::cpu::attention_backward_workspace<T>(shape, segments);
    std::vector<float> workspace(static_cast<size_t>(size));
    kernels::cpu::attention_backward<T>({q.data(), k.data(), v.data(), out.data(), lse.data()},
                                        shape, segments,
                                        {.dout = dout.data(),
                                         .dq = dq.data(),
                                         .dk = dk.data(),
                                         .dv = dv.data(),
                                         .dout_stride = shape.out_stride,
                                         .dq_stride = shape.q_stride,
                                         .dk_stride = shape.k_stride,
                                         .dv_stride = shape.v_stride},
                                        workspace.data());
  }

  AttentionCase c;
  std::vector<kernels::AttentionSegment> segments;
  kernels::AttentionShape shape;
  std::vector<T> q, k, v, dout, out, dq, dk, dv;
  std::vector<float> lse;
};

// What the tensors of a problem should hold; 7 in gaps and in rows of no document.
struct AttentionExpected {
  std::vector<double> out, lse, dq, dk, dv;
};

// Rows [begin, begin + rows) of head `head` of x, and back.
template <typename T>
std::vector<double> get_head(const std::vector<T>& x, int64_t stride, int64_t begin, int64_t rows,
                             int64_t head, int64_t head_dim) {
  std::vector<double> result;
  for (int64_t row = begin; row < begin + rows; ++row) {
    for (int64_t d = 0; d < head_dim; ++d) {
      result.push_back(as_double(x[static_cast<size_t>(row * stride + head * head_dim + d)]));
    }
  }
  return result;
}

inline void add_head(const std::vector<double>& values, int64_t stride, int64_t begin, int64_t rows,
                     int64_t head, int64_t head_dim, std::vector<double>& x) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t d = 0; d < head_dim; ++d) {
      x[static_cast<size_t>((begin + row) * stride + head * head_dim + d)] +=
          values[static_cast<size_t>(row * head_dim + d)];
    }
  }
}

// Clears the first `columns` of rows [begin, begin + rows).
inline void clear_rows(int64_t stride, int64_t begin, int64_t rows, int64_t columns,
                       std::vector<double>& x) {
  for (int64_t row = begin; row < begin + rows; ++row) {
    std::fill_n(x.begin() + row * stride, columns, 0.0);
  }
}

template <typename T>
AttentionExpected expected_of(const AttentionProblem<T>& p) {
  const auto& s = p.shape;
  const auto sevens = [](size_t count) { return std::vector<double>(count, 7.0); };
  AttentionExpected expected{sevens(p.out.size()), sevens(p.lse.size()), sevens(p.q.size()),
                             sevens(p.k.size()), sevens(p.v.size())};
  const int64_t group = s.num_heads / s.num_kv_heads;
  const int64_t q_columns = s.num_heads * s.head_dim;
  const int64_t kv_columns = s.num_kv_heads * s.head_dim;
  for (const auto& segment : p.segments) {
    clear_rows(s.out_stride, segment.q_begin, segment.num_q, q_columns, expected.out);
    clear_rows(s.q_stride, segment.q_begin, segment.num_q, q_columns, expected.dq);
    clear_rows(s.k_stride, segment.k_begin, segment.num_k, kv_columns, expected.dk);
    clear_rows(s.v_stride, segment.k_begin, segment.num_k, kv_columns, expected.dv);
    for (int64_t head = 0; head < s.num_heads; ++head) {
      const int64_t kv = head / group;
      const auto heads_of = [&](const auto& x, int64_t stride, bool is_query) {
        return is_query ? get_head(x, stride, segment.q_begin, segment.num_q, head, s.head_dim)
                        : get_head(x, stride, segment.k_begin, segment.num_k, kv, s.head_dim);
      };
      const reference::AttentionInput input = {heads_of(p.q, s.q_stride, true),
                                               heads_of(p.k, s.k_stride, false),
                                               heads_of(p.v, s.v_stride, false),
                                               static_cast<size_t>(segment.num_q),
                                               static_cast<size_t>(segment.num_k),
                                               static_cast<size_t>(s.head_dim),
                                               s.scale};
      const auto forward = reference::attention(input);
      const auto gradient =
          reference::attention_backward(input, heads_of(p.dout, s.out_stride, true));
      std::copy(forward.lse.begin(), forward.lse.end(),
                expected.lse.begin() + head * s.num_q_rows + segment.q_begin);
      add_head(forward.out, s.out_stride, segment.q_begin, segment.num_q, head, s.head_dim,
               expected.out);
      add_head(gradient.dq, s.q_stride, segment.q_begin, segment.num_q, head, s.head_dim,
               expected.dq);
      add_head(gradient.dk, s.k_stride, segment.k_begin, segment.num_k, kv, s.head_dim,
               expected.dk);
      add_head(gradient.dv, s.v_stride, segment.k_begin, segment.num_k, kv, s.head_dim,
               expected.dv);
    }
  }
  return expected;
}

}  // namespace rung::testing
