// The division of rows into thread blocks: every packet is some thread's, none is two's.
#include "kernels/row_tiles.h"

#include <gtest/gtest.h>

#include "tests/kernels/refusal.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung {
namespace {

using emulation::GuardedBuffer;

using kernels::cuda::RowTiles;
using kernels::cuda::tile_rows;

TEST(RowTiles, CoverEveryRowAndPacketOnce) {
  for (const int steps : {1, 4}) {
    for (const int64_t packets : {1, 2, 7, 72, 255, 256, 257, 1376, 1792, 8193}) {
      for (const int64_t rows : {1, 2, 5, 256, 131072}) {
        const RowTiles tiles = tile_rows(rows, packets, steps, "op");
        EXPECT_LE(tiles.block.x * tiles.block.y, 256u);
        // Threads past the end do nothing: less than a packet a thread and tile, less than a block
        // of rows a layer of the grid.
        const int64_t covered = int64_t{tiles.grid.x} * tiles.block.x * steps;
        EXPECT_GE(covered, packets);
        EXPECT_LT(covered - packets, int64_t{tiles.grid.x} * steps);
        const int64_t covered_rows = int64_t{tiles.grid.z} * tiles.grid.y * tiles.block.y;
        EXPECT_GE(covered_rows, rows);
        EXPECT_LT(covered_rows - rows, int64_t{tiles.grid.z + 1} * tiles.block.y);
      }
    }
  }
}

TEST(RowTiles, UseTheThirdDimensionOfAGridForManyRows) {
  const RowTiles tiles = tile_rows(131072, 512, 1, "op");
  EXPECT_EQ(tiles.grid.x, 2u);
  EXPECT_EQ(tiles.grid.y, 43691u);
  EXPECT_EQ(tiles.grid.z, 3u);
}

__global__ void count_kernel(RowTiles tiles, int* counts) {
  const int64_t row = tiles.row();
  if (row >= tiles.rows) return;
  for (int step = 0; step < 2; ++step) {
    const int packet = tiles.first_packet<2>() + step * static_cast<int>(blockDim.x);
    if (packet < tiles.packets) ++counts[row * tiles.packets + packet];
  }
}

TEST(RowTiles, GiveEachPacketToOneThread) {
  const RowTiles tiles = {
      .rows = 23, .packets = 17, .grid = dim3(2, 3, 2), .block = dim3(5, 4)};  // 24 rows of 20
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    emulation::Device device(schedule);
    GuardedBuffer<int> counts(std::vector<int>(23 * 17, 0));
    kernels::cuda::launch(count_kernel, tiles.grid, tiles.block, 0,
                          kernels::Stream{device.handle()}, tiles, counts.data());
    EXPECT_EQ(counts.read(), std::vector<int>(23 * 17, 1));
    EXPECT_TRUE(counts.intact());
  }
}

TEST(RowTiles, RefuseWhatNoGridCovers) {
  EXPECT_EQ(testing::refusal_of([] { tile_rows(int64_t{1} << 33, 512, 1, "op"); }),
            "op: 8589934592 rows of 512 packets are too many for one launch");
}

}  // namespace
}  // namespace rung
