// Attention's tile arithmetic with AVX-512: 24 of 32 registers hold sums.
#include <cstdint>

#include "kernels/attention_tile.h"
#include "kernels/simd.h"

// From here on only: the inline functions of the headers above stay runnable everywhere.
#pragma GCC target("avx512f,avx2,fma")

#include "kernels/attention_tile_impl.h"

namespace rung::kernels::cpu {

TileOps avx512_tile_ops() { return TileArithmetic<16, 12>::ops(); }

}  // namespace rung::kernels::cpu
