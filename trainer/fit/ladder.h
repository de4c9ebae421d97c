// The rungs that a training step can climb when it does not fit: each takes less memory and more
// time than the one before, and none changes the step's sums but for their order.
//
//   split       each micro-batch in twice as many parts, while parts stay large enough for the
//               products to run at full speed
//   recompute   a quarter of the blocks more keep only their input
//   weights     quantised weights are dequantised one matrix at a time
//   head        logits in smaller chunks
//   checkpoints the inputs of recomputed blocks wait on the host (GPU only)
//   tiles       the MLPs of recomputed blocks take their tokens in tiles
//   split       further, down to single documents
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/memory_settings.h"

namespace rung::fit {

// Bytes of logits at a time. Every chunk reads the head's weights twice, which a CPU does while it
// multiplies a few hundred rows; a GPU multiplies so much faster than it reads that it takes four
// times as many.
inline constexpr int64_t kLeastHeadChunk = int64_t{4} << 20;
inline constexpr int64_t kFullHeadChunk = model::MemorySettings{}.head_chunk_bytes;
inline constexpr int64_t kFullHeadChunkOfGpu = 4 * kFullHeadChunk;

// All of a step that may change from one step to the next.
struct StepSettings {
  int64_t split = 1;  // parts of each micro-batch, by documents
  model::MemorySettings memory;

  bool operator==(const StepSettings&) const = default;
};

// What bounds the ladder of a run.
struct LadderBounds {
  int64_t num_blocks = 0;               // of the model; 0: a pass without gradients
  int64_t most_recomputed = 0;          // blocks that may be
  bool only_recompute = false;          // nothing else is changed
  bool is_quantized = false;            // the base
  bool has_own_memory = false;          // the device: host memory is another
  int64_t num_documents = 1;            // most in a micro-batch
  int64_t num_tokens = 0;               // most in a micro-batch
  int64_t mlp_tile = 0;                 // tokens of a tile, once the MLPs are tiled
  int64_t head_chunk = kFullHeadChunk;  // bytes that are not worth a word
};

// The rung above, or nothing at the top.
std::optional<StepSettings> next_rung(const StepSettings& settings, const LadderBounds& bounds);

// The last rung above `settings`: the least memory that there is.
StepSettings top_rung(StepSettings settings, const LadderBounds& bounds);

// What is named where a rung is: "micro-batches in 2 parts, 8 of 32 blocks recomputed".
std::string describe(const StepSettings& settings, const LadderBounds& bounds);

// The same without recomputed blocks, for where they are named already; empty where nothing is
// left.
std::string describe_others(const StepSettings& settings, LadderBounds bounds);

// What `to` changes in `from`: "8 of 32 blocks recomputed instead of 0, micro-batches in 2 parts";
// empty where that is nothing.
std::string describe_changes(const StepSettings& from, const StepSettings& to,
                             const LadderBounds& bounds);

}  // namespace rung::fit
