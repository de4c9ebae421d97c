// Columns of b are packed into panels of floats that stay in the third-level cache; threads take
// blocks of c, widen their rows of a depth by depth into the second-level cache, and multiply them
// with panel after panel, whose part of that depth stays in the first.
#include "kernels/gemm_blocked.h"

#include <algorithm>

#include "kernels/parallel.h"
#include "kernels/prefetch.h"
#include "kernels/simd.h"
#include "kernels/tile_pack.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kPackRows = 32;  // of b, a task of packing
constexpr int64_t kTasksPerThread = 4;

// b [depth, columns], rows side by side -> panels [columns / width][panel_stride], a row of `width`
// floats after the other; zeros up to the next multiple of kTileColumns.
template <typename T>
RUNG_SIMD_CLONES void pack_rows(const T* b, int64_t row_stride, int64_t depth, int64_t columns,
                                float* panels, int64_t width, int64_t panel_stride) {
  for (int64_t l = 0; l < depth; ++l) {
    const T* from = b + l * row_stride;
    float* to = panels + l * width;
    for (int64_t first = 0; first < columns; first += width) {
      for (int64_t j = 0; j < width && first + j < columns; j += kTileColumns) {
        const int64_t count = columns - first - j;
        if (count >= kTileColumns) {
          for (int64_t i = 0; i < kTileColumns; ++i) to[j + i] = to_float(from[first + j + i]);
        } else {
          for (int64_t i = 0; i < count; ++i) to[j + i] = to_float(from[first + j + i]);
          for (int64_t i = count; i < kTileColumns; ++i) to[j + i] = 0.0f;
        }
      }
      to += panel_stride;
    }
  }
}

// c [rows, columns] = or += alpha * sums.
template <typename Out>
RUNG_SIMD_CLONES void store_sums(const float* sums, int64_t stride, float alpha, int64_t rows,
                                 int64_t columns, const GemmResult<Out>& c) {
  constexpr int64_t kLine = 64 / sizeof(Out);
  for (int64_t i = 0; i < rows; ++i) {
    const float* from = sums + i * stride;
    Out* to = c.data + i * c.row_stride;
    for (int64_t j = 0; j < columns; j += kLine) {
      __builtin_prefetch(to + kPrefetchRows * c.row_stride + j, /*write=*/1);
    }
    if (c.store == GemmStore::kSet) {
#pragma GCC ivdep
      for (int64_t j = 0; j < columns; ++j) to[j] = from_float<Out>(alpha * from[j]);
    } else {
#pragma GCC ivdep
      for (int64_t j = 0; j < columns; ++j) {
        to[j] = from_float<Out>(to_float(to[j]) + alpha * from[j]);
      }
    }
  }
}

// Part of a dimension.
struct Range {
  int64_t first = 0;
  int64_t count = 0;
};

// Calls f(range) for consecutive parts of at most `most` of [0, count).
template <typename F>
void for_each_part(int64_t count, int64_t most, const F& f) {
  for (int64_t first = 0; first < count; first += most) {
    f(Range{first, std::min(most, count - first)});
  }
}

template <typename T, typename Out>
class Product {
 public:
  Product(const GemmShape& shape, float alpha, const GemmOperand<T>& a, const GemmOperand<T>& b,
          const GemmResult<Out>& c, const GemmMeans& means)
      : shape_(shape),
        alpha_(alpha),
        a_(a),
        b_(b),
        c_(c),
        ops_(means.ops),
        blocking_(means.blocking),
        width_(ops_.panel_columns),
        packed_depth_(std::min(shape.k, blocking_.packed_depth)),
        packed_columns_(std::min(ceil_div(shape.n, width_) * width_,
                                 blocking_.packed_columns(packed_depth_, width_))),
        sums_wait_(shape.k > packed_depth_) {
    const int64_t packed = packed_columns_ * packed_depth_;
    const int64_t waiting =
        sums_wait_ ? std::min(shape.m, blocking_.waiting_rows) * tile_stride(packed_columns_) : 0;
    packed_ = means.workspace.at_least(packed + waiting +
                                       max_threads() * blocking_.thread_floats(width_));
    waiting_sums_ = packed_ + packed;
    threads_ = waiting_sums_ + waiting;
  }

  void run() const {
    const int64_t most_rows = sums_wait_ ? blocking_.waiting_rows : shape_.m;
    for_each_part(shape_.m, most_rows, [&](const Range& rows) {
      for_each_part(shape_.n, packed_columns_, [&](const Range& columns) {
        for_each_part(shape_.k, packed_depth_, [&](const Range& depth) {
          pack(depth, columns);
          multiply(rows, depth, columns);
        });
      });
    });
  }

 private:
  // In a parallel region, the thread's own.
  float* own_tile() const {
    return threads_ + omp_get_thread_num() * blocking_.thread_floats(width_);
  }
  float* own_sums() const { return own_tile() + blocking_.tile_floats(width_); }

  const T* b_at(int64_t depth, int64_t column) const {
    return b_.data + depth * b_.row_stride + column * b_.column_stride;
  }

  void pack(const Range& depth, const Range& columns) const {
    if (b_.column_stride == 1) {
      parallel_for(depth.count, kPackRows, [&](int64_t begin, int64_t end) {
        pack_rows(b_at(depth.first + begin, columns.first), b_.row_stride, end - begin,
                  columns.count, packed_ + begin * width_, width_, width_ * depth.count);
      });
      return;
    }
    // Columns of b are turned by way of a tile of them.
    parallel_for(columns.count, width_, [&](int64_t begin, int64_t end) {
      float* panel = packed_ + begin * depth.count;
      float* tile = own_tile();
      for_each_part(depth.count, blocking_.depth, [&](const Range& part) {
        const int64_t stride = tile_stride(part.count);
        const T* from = b_at(depth.first + part.first, columns.first + begin);
        widen_rows(from, b_.column_stride, end - begin, part.count, tile, stride);
        transpose_tile(tile, stride, end - begin, part.count, panel + part.first * width_, width_);
      });
    });
  }

  // Adds the packed part of b to the sums; where it is the last, c gets them.
  void multiply(const Range& rows, const Range& depth, const Range& columns) const {
    const int64_t row_blocks = ceil_div(rows.count, blocking_.rows);
    // With few rows a task takes fewer columns, so that there are enough of them.
    const int64_t wanted = ceil_div(kTasksPerThread * max_threads(), row_blocks);
    const int64_t column_block =
        std::clamp(ceil_div(columns.count, wanted * width_) * width_, width_, blocking_.columns);
    // Tasks go down the rows of one block of columns before the next one: the threads, which are
    // at neighbouring tasks, then read the same panels, and find them in the third-level cache.
    parallel_tasks(row_blocks * ceil_div(columns.count, column_block), [&](int64_t task) {
      const int64_t row = task % row_blocks * blocking_.rows;
      const int64_t column = task / row_blocks * column_block;
      multiply_block(rows, depth, columns, {row, std::min(blocking_.rows, rows.count - row)},
                     {column, std::min(column_block, columns.count - column)});
    });
  }

  // Rows and columns of a task, counted from the first ones of the parts.
  void multiply_block(const Range& all_rows, const Range& depth, const Range& all_columns,
                      const Range& rows, const Range& columns) const {
    const int64_t stride = tile_stride(sums_wait_ ? packed_columns_ : blocking_.columns);
    float* sums = sums_wait_ ? waiting_sums_ + rows.first * stride + columns.first : own_sums();
    for_each_part(depth.count, blocking_.depth, [&](const Range& part) {
      TileProduct product =
          widened(all_rows.first + rows.first, rows.count, depth.first + part.first, part.count);
      product.c_stride = stride;
      product.store = depth.first + part.first == 0 ? TileStore::kSet : TileStore::kAdd;
      for_each_part(columns.count, width_, [&](const Range& panel) {
        product.b = packed_ + (columns.first + panel.first) * depth.count + part.first * width_;
        product.c = sums + panel.first;
        product.n = padded_columns(panel.count);
        ops_.multiply(product);
      });
    });
    if (depth.first + depth.count < shape_.k) return;
    Out* to =
        c_.data + (all_rows.first + rows.first) * c_.row_stride + all_columns.first + columns.first;
    store_sums(sums, stride, alpha_, rows.count, columns.count,
               GemmResult<Out>{to, c_.row_stride, c_.store});
  }

  // A block of a in the thread's tile, and what it says of a product.
  TileProduct widened(int64_t row, int64_t rows, int64_t k, int64_t depth) const {
    float* tile = own_tile();
    const T* from = a_.data + row * a_.row_stride + k * a_.column_stride;
    TileProduct product{.a = tile, .b_stride = width_, .m = rows, .k = depth};
    if (a_.column_stride == 1) {
      product.a_stride = tile_stride(depth);
      widen_rows(from, a_.row_stride, rows, depth, tile, product.a_stride);
    } else {
      product.a_layout = TileLayout::kColumns;
      product.a_stride = tile_stride(rows);
      widen_rows(from, a_.column_stride, depth, rows, tile, product.a_stride);
    }
    return product;
  }

  const GemmShape shape_;
  const float alpha_;
  const GemmOperand<T> a_;
  const GemmOperand<T> b_;
  const GemmResult<Out> c_;
  const TileOps ops_;
  const GemmBlocking blocking_;
  const int64_t width_;  // columns of a panel
  const int64_t packed_depth_;
  const int64_t packed_columns_;  // a multiple of width_
  const bool sums_wait_;          // for another packing
  // [packed_columns / width][packed_depth, width]
  float* packed_;
  // [rows, tile_stride(packed_columns)]
  float* waiting_sums_;
  // Of each thread, a tile and sums [blocking.rows, tile_stride(blocking.columns)]: both stay in
  // the second-level cache.
  float* threads_;
};

}  // namespace

template <typename T, typename Out>
void gemm_blocked(const GemmShape& shape, float alpha, const GemmOperand<T>& a,
                  const GemmOperand<T>& b, const GemmResult<Out>& c, const GemmMeans& means) {
  Product<T, Out>(shape, alpha, a, b, c, means).run();
}

template void gemm_blocked(const GemmShape&, float, const GemmOperand<bf16>&,
                           const GemmOperand<bf16>&, const GemmResult<bf16>&, const GemmMeans&);
template void gemm_blocked(const GemmShape&, float, const GemmOperand<bf16>&,
                           const GemmOperand<bf16>&, const GemmResult<float>&, const GemmMeans&);
template void gemm_blocked(const GemmShape&, float, const GemmOperand<fp16>&,
                           const GemmOperand<fp16>&, const GemmResult<fp16>&, const GemmMeans&);
template void gemm_blocked(const GemmShape&, float, const GemmOperand<fp16>&,
                           const GemmOperand<fp16>&, const GemmResult<float>&, const GemmMeans&);

}  // namespace rung::kernels::cpu
