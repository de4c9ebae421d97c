// How a training step trades time for memory. The sums stay the same; where matrices are cut into
// tiles, those of adapter gradients are added up in another order.
#pragma once

#include <cstdint>

namespace rung::model {

// How often quantised weights are dequantised for the backward pass of a recomputed block.
enum class Dequantisation {
  kEachProduct,  // one matrix at a time: the least memory
  kOnceABlock,   // recomputation and backward pass share a block's weights
};

// Where the inputs of recomputed blocks wait for the backward pass.
enum class Checkpoints { kOnDevice, kOnHost };

struct MemorySettings {
  int64_t num_recomputed = 0;  // the first so many blocks keep only their input
  Dequantisation dequantisation = Dequantisation::kEachProduct;
  Checkpoints checkpoints = Checkpoints::kOnDevice;
  int64_t mlp_tile = 0;  // tokens that a recomputed block's MLP takes at a time; 0: all
  int64_t head_chunk_bytes = int64_t{48} << 20;  // logits at a time

  bool operator==(const MemorySettings&) const = default;
};

}  // namespace rung::model
