// Products on tiles: columns of b are packed into panels of floats that stay in the third-level
// cache; threads take blocks of c, widen their rows of a depth by depth into the second-level
// cache, and multiply them with panel after panel, whose part of that depth stays in the first.
#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/aligned_floats.h"
#include "kernels/gemm_few_rows.h"
#include "kernels/parallel.h"
#include "kernels/prefetch.h"
#include "kernels/simd.h"
#include "kernels/tile_ops.h"
#include "kernels/tile_pack.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kRowBlock = 96;      // rows of a that are multiplied at a time
constexpr int64_t kDepthBlock = 384;   // of a sum, likewise
constexpr int64_t kColumnBlock = 512;  // of c that a task takes at most

// Of b, what is packed at a time: kPackedFloats, and no more than kMostDepth deep. Longer sums wait
// between the packings, those of kMostRows at a time.
constexpr int64_t kPackedFloats = int64_t{4} << 20;
constexpr int64_t kMostDepth = 8064;
constexpr int64_t kMostRows = 4032;

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

// What is worked on between two packings, and by a task.
struct Blocking {
  int64_t width;    // columns of a panel
  int64_t columns;  // packed, a multiple of width
  int64_t depth;    // packed
  bool sums_wait;   // for another depth

  Blocking(const GemmShape& shape, int64_t panel_columns)
      : width(panel_columns),
        depth(std::min(shape.k, kMostDepth)),
        sums_wait(shape.k > kMostDepth) {
    const int64_t all = ceil_div(shape.n, width) * width;
    columns = std::min(all, std::max(kColumnBlock, kPackedFloats / depth / width * width));
  }
};

// The floats that products of one calling thread work in.
class Workspace {
 public:
  // Lays out for a product; grows where it must.
  void prepare(const GemmShape& shape, const Blocking& blocking) {
    const int64_t packed = blocking.columns * blocking.depth;
    const int64_t waiting =
        blocking.sums_wait ? std::min(shape.m, kMostRows) * tile_stride(blocking.columns) : 0;
    tile_floats_ =
        std::max({kRowBlock * tile_stride(kDepthBlock), kDepthBlock * tile_stride(kRowBlock),
                  blocking.width * tile_stride(kDepthBlock)});
    own_floats_ = tile_floats_ + kRowBlock * tile_stride(kColumnBlock);
    const int64_t needed = packed + waiting + max_threads() * own_floats_;
    if (needed > size_) {
      data_.reset();
      size_ = 0;
      data_ = make_floats(needed);
      size_ = needed;
    }
    waiting_sums_ = packed_columns() + packed;
    own_ = waiting_sums_ + waiting;
  }

  // [columns / width][depth, width], columns of b.
  float* packed_columns() const { return data_.get(); }
  // [rows, tile_stride(columns)]
  float* waiting_sums() const { return waiting_sums_; }
  // In a parallel region, the thread's own: rows or columns of an operand, widened; sums
  // [kRowBlock, tile_stride(kColumnBlock)], which stay in the second-level cache.
  float* tile() const { return own_ + omp_get_thread_num() * own_floats_; }
  float* own_sums() const { return tile() + tile_floats_; }

 private:
  Floats data_;
  int64_t size_ = 0;
  float* waiting_sums_ = nullptr;
  float* own_ = nullptr;
  int64_t own_floats_ = 0;
  int64_t tile_floats_ = 0;
};

template <typename T, typename Out>
class Product {
 public:
  Product(const GemmShape& shape, float alpha, const GemmOperand<T>& a, const GemmOperand<T>& b,
          const GemmResult<Out>& c, Workspace& workspace)
      : shape_(shape),
        alpha_(alpha),
        a_(a),
        b_(b),
        c_(c),
        ops_(tile_ops()),
        blocking_(shape, ops_.panel_columns),
        workspace_(workspace) {
    workspace_.prepare(shape_, blocking_);
  }

  void run() const {
    const int64_t most_rows = blocking_.sums_wait ? kMostRows : shape_.m;
    for_each_part(shape_.m, most_rows, [&](const Range& rows) {
      for_each_part(shape_.n, blocking_.columns, [&](const Range& columns) {
        for_each_part(shape_.k, blocking_.depth, [&](const Range& depth) {
          pack(depth, columns);
          multiply(rows, depth, columns);
        });
      });
    });
  }

 private:
  const T* b_at(int64_t depth, int64_t column) const {
    return b_.data + depth * b_.row_stride + column * b_.column_stride;
  }

  void pack(const Range& depth, const Range& columns) const {
    if (b_.column_stride == 1) {
      parallel_for(depth.count, kPackRows, [&](int64_t begin, int64_t end) {
        pack_rows(b_at(depth.first + begin, columns.first), b_.row_stride, end - begin,
                  columns.count, workspace_.packed_columns() + begin * blocking_.width,
                  blocking_.width, blocking_.width * depth.count);
      });
      return;
    }
    // Columns of b are turned by way of a tile of them.
    parallel_for(columns.count, blocking_.width, [&](int64_t begin, int64_t end) {
      float* panel = workspace_.packed_columns() + begin * depth.count;
      float* tile = workspace_.tile();
      for_each_part(depth.count, kDepthBlock, [&](const Range& part) {
        const int64_t stride = tile_stride(part.count);
        const T* from = b_at(depth.first + part.first, columns.first + begin);
        widen_rows(from, b_.column_stride, end - begin, part.count, tile, stride);
        transpose_tile(tile, stride, end - begin, part.count, panel + part.first * blocking_.width,
                       blocking_.width);
      });
    });
  }

  // Adds the packed part of b to the sums; where it is the last, c gets them.
  void multiply(const Range& rows, const Range& depth, const Range& columns) const {
    const int64_t row_blocks = ceil_div(rows.count, kRowBlock);
    // With few rows a task takes fewer columns, so that there are enough of them.
    const int64_t wanted = ceil_div(kTasksPerThread * max_threads(), row_blocks);
    const int64_t column_block =
        std::clamp(ceil_div(columns.count, wanted * blocking_.width) * blocking_.width,
                   blocking_.width, kColumnBlock);
    const int64_t num_tasks = row_blocks * ceil_div(columns.count, column_block);
    // Threads share columns, which are more than what they have of a.
#pragma omp parallel for schedule(dynamic, 1) if (num_tasks > 1)
    for (int64_t task = 0; task < num_tasks; ++task) {
      const int64_t row = task % row_blocks * kRowBlock;
      const int64_t column = task / row_blocks * column_block;
      multiply_block(rows, depth, columns, {row, std::min(kRowBlock, rows.count - row)},
                     {column, std::min(column_block, columns.count - column)});
    }
  }

  // Rows and columns of a task, counted from the first ones of the parts.
  void multiply_block(const Range& all_rows, const Range& depth, const Range& all_columns,
                      const Range& rows, const Range& columns) const {
    const int64_t stride = tile_stride(blocking_.sums_wait ? blocking_.columns : kColumnBlock);
    float* sums = blocking_.sums_wait
                      ? workspace_.waiting_sums() + rows.first * stride + columns.first
                      : workspace_.own_sums();
    for_each_part(depth.count, kDepthBlock, [&](const Range& part) {
      TileProduct product =
          widened(all_rows.first + rows.first, rows.count, depth.first + part.first, part.count);
      product.c_stride = stride;
      product.store = depth.first + part.first == 0 ? TileStore::kSet : TileStore::kAdd;
      for_each_part(columns.count, blocking_.width, [&](const Range& panel) {
        product.b = workspace_.packed_columns() + (columns.first + panel.first) * depth.count +
                    part.first * blocking_.width;
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
    float* tile = workspace_.tile();
    const T* from = a_.data + row * a_.row_stride + k * a_.column_stride;
    TileProduct product{.a = tile, .b_stride = blocking_.width, .m = rows, .k = depth};
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

  GemmShape shape_;
  float alpha_;
  GemmOperand<T> a_;
  GemmOperand<T> b_;
  GemmResult<Out> c_;
  TileOps ops_;
  Blocking blocking_;
  Workspace& workspace_;
};

}  // namespace

template <typename T, typename Out>
void gemm(const GemmShape& shape, float alpha, const GemmOperand<T>& a, const GemmOperand<T>& b,
          const GemmResult<Out>& c) {
  if (shape.m == 0 || shape.n == 0) return;
  if (shape.m <= kGemmFewRows && a.column_stride == 1 && b.row_stride == 1) {
    gemm_few_rows(shape, alpha, a, b, c);
    return;
  }
  static thread_local Workspace workspace;
  Product<T, Out>(shape, alpha, a, b, c, workspace).run();
}

template void gemm(const GemmShape&, float, const GemmOperand<bf16>&, const GemmOperand<bf16>&,
                   const GemmResult<bf16>&);
template void gemm(const GemmShape&, float, const GemmOperand<bf16>&, const GemmOperand<bf16>&,
                   const GemmResult<float>&);
template void gemm(const GemmShape&, float, const GemmOperand<fp16>&, const GemmOperand<fp16>&,
                   const GemmResult<fp16>&);
template void gemm(const GemmShape&, float, const GemmOperand<fp16>&, const GemmOperand<fp16>&,
                   const GemmResult<float>&);

}  // namespace rung::kernels::cpu
