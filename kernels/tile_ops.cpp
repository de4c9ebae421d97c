// Tile arithmetic for any x86-64, and the choice of instruction set.
#include "kernels/tile_ops.h"

#include "kernels/tile_ops_impl.h"

namespace rung::kernels::cpu {

TileOps portable_tile_ops() { return TileArithmetic<4, 6>::ops(); }

TileOps tile_ops() {
  if (__builtin_cpu_supports("avx512f") != 0) return avx512_tile_ops();
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
    return avx2_tile_ops();
  }
  return portable_tile_ops();
}

}  // namespace rung::kernels::cpu
