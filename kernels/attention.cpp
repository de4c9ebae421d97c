// Attention on the CPU, forward: tasks are blocks of queries of the heads that share a key-value
// head. A task walks the keys it sees block by block; a block of keys and values is widened to
// float once for all rows of the task, then strips of rows do scores, softmax and weighted sum
// while the scores lie in the first-level cache.
//
// The result of a row depends on the blocks of keys alone, which start at the segment's first key.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/aligned_floats.h"
#include "kernels/attention_rows.h"
#include "kernels/parallel.h"
#include "kernels/tile_ops.h"
#include "kernels/tile_pack.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kStripRows = 24;
constexpr float kLog2E = 1.44269504f;
constexpr double kLn2 = 0.69314718055994531;

struct Blocking {
  int64_t rows;        // of a task: queries times heads
  int64_t keys;        // of a block
  int64_t columns;     // of a tile of heads: head_dim padded
  int64_t stride;      // of a tile of heads
  int64_t key_stride;  // of a tile with a column per key
};

// Tiles of queries, outputs, keys and values together take about 200 KiB.
Blocking blocking_of(const AttentionShape& shape) {
  const int64_t columns = padded_columns(shape.head_dim);
  const int64_t keys = columns <= 64 ? 128 : 64;
  return {.rows = std::clamp<int64_t>(24576 / columns, 96, 384),
          .keys = keys,
          .columns = columns,
          .stride = tile_stride(columns),
          .key_stride = tile_stride(keys)};
}

struct Task {
  AttentionSegment segment;
  int64_t kv_head;
  int64_t first_query;
  int64_t num_queries;

  // Keys that query `query` of the segment sees.
  int64_t visible(int64_t query) const { return segment.num_k - segment.num_q + query + 1; }
  int64_t cost() const { return num_queries * visible(first_query + num_queries - 1); }
};

int64_t count_tasks(const AttentionShape& shape, std::span<const AttentionSegment> segments,
                    int64_t queries) {
  int64_t count = 0;
  for (const AttentionSegment& s : segments) count += (s.num_q + queries - 1) / queries;
  return count * shape.num_kv_heads;
}

// The costly ones first, so that the last ones to finish are short.
std::vector<Task> make_tasks(const AttentionShape& shape,
                             std::span<const AttentionSegment> segments, const Blocking& blocking) {
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  int64_t queries = std::max<int64_t>(1, blocking.rows / group);
  while (queries > 16 && count_tasks(shape, segments, queries) < 4 * max_threads()) queries /= 2;
  std::vector<Task> tasks;
  for (const AttentionSegment& segment : segments) {
    for (int64_t first = 0; first < segment.num_q; first += queries) {
      for (int64_t head = 0; head < shape.num_kv_heads; ++head) {
        tasks.push_back({segment, head, first, std::min(queries, segment.num_q - first)});
      }
    }
  }
  std::stable_sort(tasks.begin(), tasks.end(),
                   [](const Task& a, const Task& b) { return a.cost() > b.cost(); });
  return tasks;
}

struct Tiles {
  Tiles(const Blocking& b, int64_t max_rows)
      : buffer(2 * max_rows * b.stride + 2 * b.keys * b.stride + b.columns * b.key_stride +
               kStripRows * b.key_stride + 3 * padded_to_line(max_rows)),
        q(buffer.take(max_rows * b.stride)),
        out(buffer.take(max_rows * b.stride)),
        k(buffer.take(b.keys * b.stride)),
        k_transposed(buffer.take(b.columns * b.key_stride)),
        v(buffer.take(b.keys * b.stride)),
        scores(buffer.take(kStripRows * b.key_stride)),
        max(buffer.take(max_rows)),
        sum(buffer.take(max_rows)),
        factors(buffer.take(max_rows)) {}

  TileBuffer buffer;
  float* q;             // [rows, stride], scaled
  float* out;           // [rows, stride]
  float* k;             // [keys, stride]
  float* k_transposed;  // [columns, key_stride]
  float* v;             // [keys, stride]
  float* scores;        // [kStripRows, key_stride]
  float* max;           // [rows]
  float* sum;           // [rows]
  float* factors;       // [rows]
};

template <typename T>
class Forward {
 public:
  Forward(const T* q, const T* k, const T* v, const AttentionShape& shape, T* out, float* lse)
      : q_(q),
        k_(k),
        v_(v),
        shape_(shape),
        out_(out),
        lse_(lse),
        group_(shape.num_heads / shape.num_kv_heads),
        blocking_(blocking_of(shape)),
        ops_(tile_ops()) {}

  const Blocking& blocking() const { return blocking_; }
  int64_t max_rows() const { return std::max(blocking_.rows, group_); }

  void run(const Task& task, const Tiles& tiles) const {
    const int64_t rows = task.num_queries * group_;
    load_tile(query_rows(q_, shape_.q_stride, task), 0, rows, shape_.scale * kLog2E, tiles.q,
              blocking_.stride);
    std::fill_n(tiles.out, rows * blocking_.stride, 0.0f);
    std::fill_n(tiles.max, rows, -std::numeric_limits<float>::infinity());
    std::fill_n(tiles.sum, rows, 0.0f);
    const int64_t num_keys = task.visible(task.first_query + task.num_queries - 1);
    for (int64_t first = 0; first < num_keys; first += blocking_.keys) {
      const int64_t keys = std::min(blocking_.keys, num_keys - first);
      load_keys(task, first, keys, tiles);
      for (int64_t row = 0; row < rows; row += kStripRows) {
        run_strip(task, first, keys, row, std::min(kStripRows, rows - row), tiles);
      }
    }
    finish(task, rows, tiles);
  }

 private:
  template <typename U>
  HeadRows<U> query_rows(U* x, int64_t stride, const Task& task) const {
    return {.data = x + (task.segment.q_begin + task.first_query) * stride +
                    task.kv_head * group_ * shape_.head_dim,
            .stride = stride,
            .heads = group_,
            .head_dim = shape_.head_dim};
  }

  HeadRows<const T> key_rows(const T* x, int64_t stride, const Task& task) const {
    return {.data = x + task.segment.k_begin * stride + task.kv_head * shape_.head_dim,
            .stride = stride,
            .heads = 1,
            .head_dim = shape_.head_dim};
  }

  void load_keys(const Task& task, int64_t first, int64_t keys, const Tiles& tiles) const {
    load_tile(key_rows(k_, shape_.k_stride, task), first, keys, 1.0f, tiles.k, blocking_.stride);
    transpose_tile(tiles.k, blocking_.stride, keys, shape_.head_dim, tiles.k_transposed,
                   blocking_.key_stride);
    load_tile(key_rows(v_, shape_.v_stride, task), first, keys, 1.0f, tiles.v, blocking_.stride);
  }

  // Rows [row, row + rows) of the task against `keys` keys from key `first`.
  void run_strip(const Task& task, int64_t first, int64_t keys, int64_t row, int64_t rows,
                 const Tiles& tiles) const {
    const int64_t stride = blocking_.stride;
    const int64_t last_query = task.first_query + (row + rows - 1) / group_;
    const int64_t visible = std::min(keys, task.visible(last_query) - first);
    if (visible <= 0) return;
    const int64_t score_columns = padded_columns(visible);
    ops_.multiply({.a = tiles.q + row * stride,
                   .a_stride = stride,
                   .b = tiles.k_transposed,
                   .b_stride = blocking_.key_stride,
                   .c = tiles.scores,
                   .c_stride = blocking_.key_stride,
                   .m = rows,
                   .n = score_columns,
                   .k = shape_.head_dim});
    ops_.softmax({.scores = tiles.scores,
                  .score_stride = blocking_.key_stride,
                  .max = tiles.max + row,
                  .sum = tiles.sum + row,
                  .out = tiles.out + row * stride,
                  .out_stride = stride,
                  .rows = rows,
                  .columns = score_columns,
                  .out_columns = blocking_.columns,
                  .mask = {.first_visible = task.visible(task.first_query + row / group_) - first,
                           .first_row = row,
                           .rows_per_query = group_}});
    ops_.multiply({.a = tiles.scores,
                   .a_stride = blocking_.key_stride,
                   .b = tiles.v,
                   .b_stride = stride,
                   .c = tiles.out + row * stride,
                   .c_stride = stride,
                   .store = TileStore::kAdd,
                   .m = rows,
                   .n = blocking_.columns,
                   .k = visible});
  }

  void finish(const Task& task, int64_t rows, const Tiles& tiles) const {
    for (int64_t row = 0; row < rows; ++row) tiles.factors[row] = 1.0f / tiles.sum[row];
    store_tile(tiles.out, blocking_.stride, tiles.factors, 0, rows,
               query_rows(out_, shape_.out_stride, task));
    if (lse_ == nullptr) return;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t head = task.kv_head * group_ + row % group_;
      const int64_t query = task.segment.q_begin + task.first_query + row / group_;
      const double sum = tiles.sum[row];
      lse_[head * shape_.num_q_rows + query] =
          static_cast<float>((static_cast<double>(tiles.max[row]) + std::log2(sum)) * kLn2);
    }
  }

  const T* q_;
  const T* k_;
  const T* v_;
  const AttentionShape shape_;
  T* out_;
  float* lse_;
  int64_t group_;
  Blocking blocking_;
  TileOps ops_;
};

}  // namespace

template <typename T>
void attention_forward(const T* q, const T* k, const T* v, const AttentionShape& shape,
                       std::span<const AttentionSegment> segments, T* out, float* lse) {
  const Forward<T> forward(q, k, v, shape, out, lse);
  const std::vector<Task> tasks = make_tasks(shape, segments, forward.blocking());
  const auto count = static_cast<int64_t>(tasks.size());
  const ThreadScratch<Tiles> scratch(count,
                                     [&] { return Tiles(forward.blocking(), forward.max_rows()); });
  parallel_tasks(count, scratch, [&](int64_t task, const Tiles& tiles) {
    forward.run(tasks[static_cast<size_t>(task)], tiles);
  });
}

template void attention_forward(const float*, const float*, const float*, const AttentionShape&,
                                std::span<const AttentionSegment>, float*, float*);
template void attention_forward(const bf16*, const bf16*, const bf16*, const AttentionShape&,
                                std::span<const AttentionSegment>, bf16*, float*);
template void attention_forward(const fp16*, const fp16*, const fp16*, const AttentionShape&,
                                std::span<const AttentionSegment>, fp16*, float*);

}  // namespace rung::kernels::cpu
