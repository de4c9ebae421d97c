// Tile arithmetic with AVX2: 12 of 16 registers hold sums.
#include <cstdint>

#include "kernels/simd.h"
#include "kernels/tile_ops.h"

// From here on only: the inline functions of the headers above stay runnable everywhere.
#pragma GCC target("avx2,fma")

#include "kernels/tile_ops_impl.h"

namespace rung::kernels::cpu {

TileOps avx2_tile_ops() { return TileArithmetic<8, 6>::ops(); }

}  // namespace rung::kernels::cpu
