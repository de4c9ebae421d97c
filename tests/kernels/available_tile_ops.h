// The tile arithmetic of every instruction set that this processor has. The kernels that use it
// take the fastest (kernels/tile_ops.h); tests take them all.
#pragma once

#include <string>
#include <vector>

#include "kernels/tile_ops.h"

namespace rung::testing {

struct NamedTileOps {
  std::string name;
  kernels::cpu::TileOps ops;
};

inline std::vector<NamedTileOps> available_tile_ops() {
  std::vector<NamedTileOps> all = {{"portable", kernels::cpu::portable_tile_ops()}};
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) {
    all.push_back({"avx2", kernels::cpu::avx2_tile_ops()});
  }
  if (__builtin_cpu_supports("avx512f") != 0) {
    all.push_back({"avx512", kernels::cpu::avx512_tile_ops()});
  }
  return all;
}

}  // namespace rung::testing
