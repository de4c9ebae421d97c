// Rows by index on CUDA; the contract is rows.h. A thread moves four packets of one row, their
// loads issued first.
#include "kernels/device_vector.h"
#include "kernels/row_tiles.h"
#include "kernels/rows.h"

namespace rung::kernels::cuda {

// ------------------------------------------------------------------------------------------------
// kernels

namespace {

constexpr int kSteps = 4;

enum class Indexed { kSource, kTarget };

// Copies row i of the operand that is not indexed from or to row index[i] of the one that is.
template <typename Unit, int N, Indexed indexed>
__global__ void __launch_bounds__(kTileThreads)
    rows_copy_kernel(const Unit* __restrict__ source, const int32_t* __restrict__ index,
                     RowTiles tiles, Unit* __restrict__ target) {
  const int64_t row = tiles.row();
  const int first = tiles.first_packet<kSteps>();
  if (row >= tiles.rows) return;
  const int64_t row_units = int64_t{tiles.packets} * N;
  source += (indexed == Indexed::kSource ? index[row] : row) * row_units;
  target += (indexed == Indexed::kTarget ? index[row] : row) * row_units;
  Packet<Unit, N> packets[kSteps];
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int packet = first + step * static_cast<int>(blockDim.x);
    if (packet < tiles.packets) packets[step] = load_packet<N>(source + packet * N);
  }
#pragma unroll
  for (int step = 0; step < kSteps; ++step) {
    const int packet = first + step * static_cast<int>(blockDim.x);
    if (packet < tiles.packets) store_packet(target + packet * N, packets[step]);
  }
}

template <typename Unit, int N, Indexed indexed>
void launch_copy(const void* source, int64_t row_bytes, const int32_t* index, int64_t count,
                 void* target, Stream stream) {
  const int64_t packets = row_bytes / static_cast<int64_t>(sizeof(Packet<Unit, N>));
  const char* name = indexed == Indexed::kSource ? "rows_gather" : "rows_scatter";
  const RowTiles tiles = tile_rows(count, packets, kSteps, name);
  launch(rows_copy_kernel<Unit, N, indexed>, tiles.grid, tiles.block, 0, stream,
         static_cast<const Unit*>(source), index, tiles, static_cast<Unit*>(target));
}

template <Indexed indexed>
void copy_rows(const void* source, int64_t row_bytes, const int32_t* index, int64_t count,
               void* target, Stream stream) {
  if (count == 0 || row_bytes == 0) return;
  if (has_aligned_rows(static_cast<const uint8_t*>(source), row_bytes) &&
      has_aligned_rows(static_cast<const uint8_t*>(target), row_bytes)) {
    launch_copy<uint32_t, 4, indexed>(source, row_bytes, index, count, target, stream);
  } else {
    launch_copy<uint8_t, 1, indexed>(source, row_bytes, index, count, target, stream);
  }
}

}  // namespace

// ------------------------------------------------------------------------------------------------
// launchers

void rows_gather(const void* table, int64_t row_bytes, const int32_t* index, int64_t count,
                 void* out, Stream stream) {
  copy_rows<Indexed::kSource>(table, row_bytes, index, count, out, stream);
}

void rows_scatter(const void* rows, int64_t row_bytes, const int32_t* index, int64_t count,
                  void* target, Stream stream) {
  copy_rows<Indexed::kTarget>(rows, row_bytes, index, count, target, stream);
}

}  // namespace rung::kernels::cuda
