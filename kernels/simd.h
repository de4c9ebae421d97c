// How loops over rows are compiled for several processors in one binary.
#pragma once

// Compiles a function for AVX-512, for AVX2 with FMA, and for any x86-64; the loader picks one. For
// loops that the compiler vectorises. Everything called from them must be force-inlined (as
// RUNG_INLINE does), or it stays compiled for any x86-64. OpenMP's parallel regions stay outside.
#define RUNG_SIMD_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))

#define RUNG_INLINE [[gnu::always_inline]] inline

// Before RUNG_SIMD_CLONES: products and sums are rounded one by one, so that the clones have the
// same bits as one another and as CUDA's _rn intrinsics.
#define RUNG_UNFUSED __attribute__((optimize("fp-contract=off")))
