#include "fit/ladder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace rung::fit {
namespace {

using model::Checkpoints;
using model::Dequantisation;

constexpr int64_t kTokensOfAFullPart = 1024;  // fewer, and products run below their full speed

int64_t quarter(int64_t num_blocks) { return std::max<int64_t>(1, (num_blocks + 3) / 4); }

StepSettings with_split(StepSettings settings, const LadderBounds& bounds) {
  settings.split = std::min(2 * settings.split, bounds.num_documents);
  return settings;
}

std::vector<std::string> words_of(const StepSettings& settings, const LadderBounds& bounds) {
  const model::MemorySettings& memory = settings.memory;
  std::vector<std::string> parts;
  if (settings.split > 1) {
    parts.push_back(fmt::format("micro-batches in {} parts", settings.split));
  }
  if (bounds.num_blocks > 0) {
    parts.push_back(
        fmt::format("{} of {} blocks recomputed", memory.num_recomputed, bounds.num_blocks));
  }
  if (bounds.is_quantized && memory.num_recomputed > 0 &&
      memory.dequantisation == Dequantisation::kEachProduct) {
    parts.push_back("weights dequantised one at a time");
  }
  if (memory.head_chunk_bytes < bounds.head_chunk) {
    parts.push_back(fmt::format("logits in chunks of {} MiB", memory.head_chunk_bytes >> 20));
  }
  if (memory.checkpoints == Checkpoints::kOnHost && memory.num_recomputed > 0) {
    parts.push_back("block inputs on the host");
  }
  if (memory.mlp_tile > 0 && (memory.num_recomputed > 0 || bounds.num_blocks == 0)) {
    parts.push_back(fmt::format("MLPs in tiles of {} tokens", memory.mlp_tile));
  }
  return parts;
}

}  // namespace

std::optional<StepSettings> next_rung(const StepSettings& settings, const LadderBounds& bounds) {
  const bool can_split = !bounds.only_recompute && settings.split < bounds.num_documents;
  StepSettings next = settings;
  model::MemorySettings& memory = next.memory;
  if (can_split && bounds.num_tokens / (2 * settings.split) >= kTokensOfAFullPart) {
    return with_split(settings, bounds);
  }
  if (memory.num_recomputed < bounds.most_recomputed) {
    memory.num_recomputed =
        std::min(memory.num_recomputed + quarter(bounds.num_blocks), bounds.most_recomputed);
    return next;
  }
  if (bounds.only_recompute) return std::nullopt;
  const bool recomputes = memory.num_recomputed > 0;
  if (recomputes && bounds.is_quantized && memory.dequantisation == Dequantisation::kOnceABlock) {
    memory.dequantisation = Dequantisation::kEachProduct;
    return next;
  }
  if (bounds.num_tokens > 0 && memory.head_chunk_bytes > kLeastHeadChunk) {
    memory.head_chunk_bytes = std::max(memory.head_chunk_bytes / 4, kLeastHeadChunk);
    return next;
  }
  if (recomputes && bounds.has_own_memory && memory.checkpoints == Checkpoints::kOnDevice) {
    memory.checkpoints = Checkpoints::kOnHost;
    return next;
  }
  if (recomputes && memory.mlp_tile == 0 && bounds.mlp_tile > 0 &&
      bounds.mlp_tile < bounds.num_tokens / settings.split) {
    memory.mlp_tile = bounds.mlp_tile;
    return next;
  }
  if (can_split) return with_split(settings, bounds);
  return std::nullopt;
}

StepSettings top_rung(StepSettings settings, const LadderBounds& bounds) {
  while (const std::optional<StepSettings> next = next_rung(settings, bounds)) settings = *next;
  return settings;
}

std::string describe(const StepSettings& settings, const LadderBounds& bounds) {
  const std::vector<std::string> words = words_of(settings, bounds);
  return words.empty() ? "as it is" : fmt::format("{}", fmt::join(words, ", "));
}

std::string describe_changes(const StepSettings& from, const StepSettings& to,
                             const LadderBounds& bounds) {
  // Some settings have no words where no block is recomputed: `from` as if as many were.
  StepSettings kept = from;
  kept.memory.num_recomputed = to.memory.num_recomputed;
  const std::vector<std::string> known = words_of(kept, bounds);
  std::vector<std::string> parts = words_of(to, bounds);
  std::erase_if(parts, [&](const std::string& part) {
    return std::ranges::find(known, part) != known.end();
  });
  if (kept != from) {
    parts.insert(parts.begin(),
                 fmt::format("{} of {} blocks recomputed instead of {}", to.memory.num_recomputed,
                             bounds.num_blocks, from.memory.num_recomputed));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string describe_others(const StepSettings& settings, LadderBounds bounds) {
  bounds.num_blocks = 0;
  return fmt::format("{}", fmt::join(words_of(settings, bounds), ", "));
}

}  // namespace rung::fit
