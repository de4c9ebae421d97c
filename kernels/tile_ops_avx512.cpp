// Tile arithmetic with AVX-512: 24 of 32 registers hold sums.
#include <cstdint>

#include "kernels/simd.h"
#include "kernels/tile_ops.h"

// From here on only: the inline functions of the headers above stay runnable everywhere.
#pragma GCC target("avx512f,avx2,fma")

#include "kernels/tile_ops_impl.h"

namespace rung::kernels::cpu {

TileOps avx512_tile_ops() { return TileArithmetic<16, 12>::ops(); }

}  // namespace rung::kernels::cpu
