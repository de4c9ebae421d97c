// Attention on the CPU, backward. With p = softmax(scores), dp = dout v' and D = rowsum(dout *
// out):
//   ds = p * (dp - D);  dv = p' dout;  dk = scale * ds' q;  dq = scale * ds k
// p is computed again from q, k and the log-sum-exps.
//
// Keys and queries of a segment are cut into blocks. In round r, the task of key block j takes
// query block (j + r) mod n: no two tasks of a round share a block of dq, so all three gradients
// are accumulated in place without atomics, in an order that the number of threads does not change.
// Five products a pair of blocks instead of the seven that separate passes over dq and dk take.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/aligned_floats.h"
#include "kernels/attention.h"
#include "kernels/attention_rows.h"
#include "kernels/parallel.h"
#include "kernels/tile_ops.h"
#include "kernels/tile_pack.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kStripRows = 48;
constexpr int64_t kRowsPerPiece = 16;
constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.69314718f;

struct Sizes {
  int64_t group;       // query heads to a key-value head
  int64_t queries;     // of a block
  int64_t keys;        // of a block
  int64_t columns;     // of a tile of heads: head_dim padded
  int64_t stride;      // of a tile of heads
  int64_t key_stride;  // of a tile with a column per key
};

// The tiles take at most 500 KiB.
Sizes sizes_of(const AttentionShape& shape) {
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const int64_t columns = padded_columns(shape.head_dim);
  const int64_t keys = columns <= 128 ? 128 : 64;
  return {.group = group,
          .queries = std::max<int64_t>(16, 384 / group),
          .keys = keys,
          .columns = columns,
          .stride = tile_stride(columns),
          .key_stride = tile_stride(keys)};
}

struct Tiles {
  explicit Tiles(const Sizes& s)
      : buffer(3 * s.keys * s.stride + 2 * s.columns * s.key_stride +
               kStripRows * (3 * s.stride + 2 * s.key_stride) + 2 * padded_to_line(kStripRows)),
        k(buffer.take(s.keys * s.stride)),
        dk(buffer.take(s.keys * s.stride)),
        dv(buffer.take(s.keys * s.stride)),
        k_transposed(buffer.take(s.columns * s.key_stride)),
        v_transposed(buffer.take(s.columns * s.key_stride)),
        q(buffer.take(kStripRows * s.stride)),
        dout(buffer.take(kStripRows * s.stride)),
        dq(buffer.take(kStripRows * s.stride)),
        scores(buffer.take(kStripRows * s.key_stride)),
        dp(buffer.take(kStripRows * s.key_stride)),
        lse(buffer.take(kStripRows)),
        dot(buffer.take(kStripRows)) {}

  TileBuffer buffer;
  float* k;             // [keys, stride]
  float* dk;            // [keys, stride]
  float* dv;            // [keys, stride]; first a place for v
  float* k_transposed;  // [columns, key_stride]
  float* v_transposed;  // [columns, key_stride]
  float* q;             // [kStripRows, stride], scaled
  float* dout;          // [kStripRows, stride]
  float* dq;            // [kStripRows, stride]
  float* scores;        // [kStripRows, key_stride]
  float* dp;            // [kStripRows, key_stride]
  float* lse;           // [kStripRows], base 2
  float* dot;           // [kStripRows]
};

// Float gradients under accumulation: the results themselves, or workspace where they are 16-bit.
struct Accumulators {
  float* dq;
  float* dk;
  float* dv;
  int64_t dq_stride;
  int64_t dk_stride;
  int64_t dv_stride;
};

int64_t num_key_rows(std::span<const AttentionSegment> segments) {
  int64_t rows = 0;
  for (const AttentionSegment& s : segments) rows = std::max(rows, s.k_begin + s.num_k);
  return rows;
}

struct RowRange {
  int64_t begin;
  int64_t count;
};

void add_ranges(int64_t begin, int64_t count, std::vector<RowRange>& ranges) {
  for (int64_t i = 0; i < count; i += kRowsPerPiece) {
    ranges.push_back({begin + i, std::min(kRowsPerPiece, count - i)});
  }
}

template <typename Body>
void for_each_range(const std::vector<RowRange>& ranges, const Body& body) {
  parallel_for(static_cast<int64_t>(ranges.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(ranges[static_cast<size_t>(i)]);
  });
}

void zero_rows(float* x, int64_t stride, int64_t columns, const RowRange& range) {
  for (int64_t row = range.begin; row < range.begin + range.count; ++row) {
    std::fill_n(x + row * stride, columns, 0.0f);
  }
}

struct Task {
  AttentionSegment segment;
  int64_t kv_head;
  int64_t key_block;
  int64_t num_rounds;
  int64_t num_query_blocks;
};

template <typename T>
class Backward {
 public:
  Backward(const AttentionSaved<T>& saved, const AttentionShape& shape,
           std::span<const AttentionSegment> segments, const AttentionGradients<T>& gradients,
           float* workspace)
      : saved_(saved),
        shape_(shape),
        segments_(segments),
        gradients_(gradients),
        sizes_(sizes_of(shape)),
        ops_(tile_ops()),
        q_columns_(shape.num_heads * shape.head_dim),
        kv_columns_(shape.num_kv_heads * shape.head_dim),
        dots_(workspace),
        sums_(accumulators(workspace + shape.num_heads * shape.num_q_rows)) {
    for (const AttentionSegment& segment : segments) {
      add_ranges(segment.q_begin, segment.num_q, q_ranges_);
      add_ranges(segment.k_begin, segment.num_k, k_ranges_);
    }
  }

  void run() const {
    prepare();
    const std::vector<Task> tasks = make_tasks();
    int64_t num_rounds = 0;
    for (const Task& task : tasks) num_rounds = std::max(num_rounds, task.num_rounds);
    const auto count = static_cast<int64_t>(tasks.size());
    const ThreadScratch<Tiles> scratch(count, [&] { return Tiles(sizes_); });
    for (int64_t round = 0; round < num_rounds; ++round) {
      parallel_tasks(count, scratch, [&](int64_t i, const Tiles& tiles) {
        run_pair(tasks[static_cast<size_t>(i)], round, tiles);
      });
    }
    if constexpr (!std::is_same_v<T, float>) round_results();
  }

 private:
  Accumulators accumulators(float* workspace) const {
    if constexpr (std::is_same_v<T, float>) {
      return {gradients_.dq,        gradients_.dk,        gradients_.dv,
              gradients_.dq_stride, gradients_.dk_stride, gradients_.dv_stride};
    } else {
      float* dk = workspace + shape_.num_q_rows * q_columns_;
      float* dv = dk + num_key_rows(segments_) * kv_columns_;
      return {workspace, dk, dv, q_columns_, kv_columns_, kv_columns_};
    }
  }

  // Sets dots_ [num_q_rows, num_heads] and clears the sums.
  void prepare() const {
    for_each_range(q_ranges_, [&](const RowRange& range) {
      const auto rows_of = [&](const T* x, int64_t stride) {
        return HeadRows<const T>{.data = x + range.begin * stride,
                                 .stride = stride,
                                 .heads = shape_.num_heads,
                                 .head_dim = shape_.head_dim};
      };
      dot_rows(rows_of(saved_.out, shape_.out_stride),
               rows_of(gradients_.dout, gradients_.dout_stride), range.count * shape_.num_heads,
               dots_ + range.begin * shape_.num_heads);
      zero_rows(sums_.dq, sums_.dq_stride, q_columns_, range);
    });
    for_each_range(k_ranges_, [&](const RowRange& range) {
      zero_rows(sums_.dk, sums_.dk_stride, kv_columns_, range);
      zero_rows(sums_.dv, sums_.dv_stride, kv_columns_, range);
    });
  }

  void round_results() const {
    const auto round = [](const float* sums, int64_t columns, T* out, int64_t stride,
                          const RowRange& range) {
      const float one = 1.0f;
      for (int64_t row = range.begin; row < range.begin + range.count; ++row) {
        store_tile(sums + row * columns, columns, &one, 0, 1,
                   HeadRows<T>{.data = out + row * stride, .head_dim = columns});
      }
    };
    for_each_range(q_ranges_, [&](const RowRange& range) {
      round(sums_.dq, q_columns_, gradients_.dq, gradients_.dq_stride, range);
    });
    for_each_range(k_ranges_, [&](const RowRange& range) {
      round(sums_.dk, kv_columns_, gradients_.dk, gradients_.dk_stride, range);
      round(sums_.dv, kv_columns_, gradients_.dv, gradients_.dv_stride, range);
    });
  }

  std::vector<Task> make_tasks() const {
    std::vector<Task> tasks;
    for (const AttentionSegment& segment : segments_) {
      const int64_t key_blocks = (segment.num_k + sizes_.keys - 1) / sizes_.keys;
      const int64_t query_blocks = (segment.num_q + sizes_.queries - 1) / sizes_.queries;
      if (query_blocks == 0) continue;
      for (int64_t block = 0; block < key_blocks; ++block) {
        for (int64_t head = 0; head < shape_.num_kv_heads; ++head) {
          tasks.push_back({segment, head, block, std::max(key_blocks, query_blocks), query_blocks});
        }
      }
    }
    return tasks;
  }

  void run_pair(const Task& task, int64_t round, const Tiles& tiles) const {
    if (round >= task.num_rounds) return;
    const int64_t query_block = (task.key_block + round) % task.num_rounds;
    if (query_block >= task.num_query_blocks) return;
    const AttentionSegment& segment = task.segment;
    const int64_t first_query = query_block * sizes_.queries;
    const int64_t queries = std::min(sizes_.queries, segment.num_q - first_query);
    const int64_t first_key = task.key_block * sizes_.keys;
    const int64_t hidden = segment.num_k - segment.num_q;
    if (first_key > hidden + first_query + queries - 1) return;
    const int64_t keys = std::min(sizes_.keys, segment.num_k - first_key);
    load_keys(task, first_key, keys, tiles);
    const int64_t rows = (first_query + queries) * sizes_.group;
    for (int64_t row = first_query * sizes_.group; row < rows; row += kStripRows) {
      run_strip(task, first_key, keys, row, std::min(kStripRows, rows - row), tiles);
    }
    const int64_t k_row = segment.k_begin + first_key;
    add_tile(tiles.dk, sizes_.stride, kLn2, 0, keys,
             key_rows(sums_.dk, sums_.dk_stride, task, k_row));
    add_tile(tiles.dv, sizes_.stride, 1.0f, 0, keys,
             key_rows(sums_.dv, sums_.dv_stride, task, k_row));
  }

  template <typename U>
  HeadRows<U> key_rows(U* x, int64_t stride, const Task& task, int64_t row) const {
    return {.data = x + row * stride + task.kv_head * shape_.head_dim,
            .stride = stride,
            .heads = 1,
            .head_dim = shape_.head_dim};
  }

  // Row r is head r % group of query r / group of the segment.
  template <typename U>
  HeadRows<U> query_rows(U* x, int64_t stride, const Task& task) const {
    return {
        .data = x + task.segment.q_begin * stride + task.kv_head * sizes_.group * shape_.head_dim,
        .stride = stride,
        .heads = sizes_.group,
        .head_dim = shape_.head_dim};
  }

  void load_keys(const Task& task, int64_t first_key, int64_t keys, const Tiles& tiles) const {
    const int64_t k_row = task.segment.k_begin + first_key;
    const int64_t stride = sizes_.stride;
    load_tile(key_rows(saved_.k, shape_.k_stride, task, k_row), 0, keys, 1.0f, tiles.k, stride);
    transpose_tile(tiles.k, stride, keys, shape_.head_dim, tiles.k_transposed, sizes_.key_stride);
    load_tile(key_rows(saved_.v, shape_.v_stride, task, k_row), 0, keys, 1.0f, tiles.dv, stride);
    transpose_tile(tiles.dv, stride, keys, shape_.head_dim, tiles.v_transposed, sizes_.key_stride);
    std::fill_n(tiles.dk, keys * stride, 0.0f);
    std::fill_n(tiles.dv, keys * stride, 0.0f);
  }

  void load_rows(const Task& task, int64_t row, int64_t rows, const Tiles& tiles) const {
    load_tile(query_rows(saved_.q, shape_.q_stride, task), row, rows, shape_.scale * kLog2E,
              tiles.q, sizes_.stride);
    load_tile(query_rows(gradients_.dout, gradients_.dout_stride, task), row, rows, 1.0f,
              tiles.dout, sizes_.stride);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t head = task.kv_head * sizes_.group + (row + i) % sizes_.group;
      const int64_t query = task.segment.q_begin + (row + i) / sizes_.group;
      tiles.lse[i] = saved_.lse[head * shape_.num_q_rows + query] * kLog2E;
      tiles.dot[i] = dots_[query * shape_.num_heads + head];
    }
  }

  // Adds what rows [row, row + rows) and `keys` keys from `first_key` give to the tiles dk and dv
  // and to dq.
  void run_strip(const Task& task, int64_t first_key, int64_t keys, int64_t row, int64_t rows,
                 const Tiles& tiles) const {
    const int64_t hidden = task.segment.num_k - task.segment.num_q;
    const auto visible_to = [&](int64_t r) { return hidden + r / sizes_.group + 1 - first_key; };
    const int64_t visible = std::min(keys, visible_to(row + rows - 1));
    if (visible <= 0) return;
    load_rows(task, row, rows, tiles);
    const int64_t score_columns = padded_columns(visible);
    TileProduct product = {.a_stride = sizes_.stride,
                           .b_stride = sizes_.key_stride,
                           .c_stride = sizes_.key_stride,
                           .m = rows,
                           .n = score_columns,
                           .k = shape_.head_dim};
    multiply(product, tiles.q, tiles.k_transposed, tiles.scores);
    multiply(product, tiles.dout, tiles.v_transposed, tiles.dp);
    ops_.softmax_gradient(
        {.scores = tiles.scores,
         .dp = tiles.dp,
         .stride = sizes_.key_stride,
         .lse = tiles.lse,
         .dot = tiles.dot,
         .rows = rows,
         .columns = score_columns,
         .mask = {
             .first_visible = visible_to(row), .first_row = row, .rows_per_query = sizes_.group}});
    product = {.a_stride = sizes_.key_stride,
               .a_layout = TileLayout::kColumns,
               .b_stride = sizes_.stride,
               .c_stride = sizes_.stride,
               .store = TileStore::kAdd,
               .m = visible,
               .n = sizes_.columns,
               .k = rows};
    multiply(product, tiles.scores, tiles.dout, tiles.dv);
    multiply(product, tiles.dp, tiles.q, tiles.dk);
    product.a_layout = TileLayout::kRows;
    product.store = TileStore::kSet;
    product.m = rows;
    product.k = visible;
    multiply(product, tiles.dp, tiles.k, tiles.dq);
    add_tile(tiles.dq, sizes_.stride, shape_.scale, row, rows,
             query_rows(sums_.dq, sums_.dq_stride, task));
  }

  void multiply(TileProduct product, const float* a, const float* b, float* c) const {
    product.a = a;
    product.b = b;
    product.c = c;
    ops_.multiply(product);
  }

  const AttentionSaved<T> saved_;
  const AttentionShape shape_;
  const std::span<const AttentionSegment> segments_;
  const AttentionGradients<T> gradients_;
  const Sizes sizes_;
  const TileOps ops_;
  const int64_t q_columns_;   // of dq
  const int64_t kv_columns_;  // of dk and dv
  float* const dots_;
  const Accumulators sums_;
  std::vector<RowRange> q_ranges_;
  std::vector<RowRange> k_ranges_;
};

}  // namespace

template <typename T>
int64_t attention_backward_workspace(const AttentionShape& shape,
                                     std::span<const AttentionSegment> segments) {
  const int64_t dots = shape.num_heads * shape.num_q_rows;
  if constexpr (std::is_same_v<T, float>) return dots;
  return dots + shape.head_dim * (shape.num_heads * shape.num_q_rows +
                                  2 * shape.num_kv_heads * num_key_rows(segments));
}

template <typename T>
void attention_backward(const AttentionSaved<T>& saved, const AttentionShape& shape,
                        std::span<const AttentionSegment> segments,
                        const AttentionGradients<T>& gradients, float* workspace) {
  Backward<T>(saved, shape, segments, gradients, workspace).run();
}

template int64_t attention_backward_workspace<float>(const AttentionShape&,
                                                     std::span<const AttentionSegment>);
template int64_t attention_backward_workspace<bf16>(const AttentionShape&,
                                                    std::span<const AttentionSegment>);
template int64_t attention_backward_workspace<fp16>(const AttentionShape&,
                                                    std::span<const AttentionSegment>);
template void attention_backward(const AttentionSaved<float>&, const AttentionShape&,
                                 std::span<const AttentionSegment>,
                                 const AttentionGradients<float>&, float*);
template void attention_backward(const AttentionSaved<bf16>&, const AttentionShape&,
                                 std::span<const AttentionSegment>, const AttentionGradients<bf16>&,
                                 float*);
template void attention_backward(const AttentionSaved<fp16>&, const AttentionShape&,
                                 std::span<const AttentionSegment>, const AttentionGradients<fp16>&,
                                 float*);

}  // namespace rung::kernels::cpu
