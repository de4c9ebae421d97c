#include "fit/choose.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace rung::fit {
namespace {

using model::Checkpoints;
using model::Dequantisation;

// The smallest number from `low` to `high` that fits, where `high` does. The peak falls as blocks
// are recomputed or streamed, so the boundary can be bisected.
template <typename Fits>
int64_t smallest(int64_t low, int64_t high, const Fits& fits) {
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (fits(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

StepSettings recomputing(StepSettings settings, int64_t num_recomputed) {
  settings.memory.num_recomputed = num_recomputed;
  return settings;
}

// What each part of a setting may be; its start first.
struct Options {
  std::vector<int64_t> splits;
  std::vector<int64_t> head_chunks;
  std::vector<int64_t> mlp_tiles;
  std::vector<Dequantisation> dequantisations;
  std::vector<Checkpoints> checkpoints;
};

Options options_of(const StepSettings& start, const LadderBounds& bounds) {
  const model::MemorySettings& memory = start.memory;
  Options options{.splits = {start.split},
                  .head_chunks = {memory.head_chunk_bytes},
                  .mlp_tiles = {memory.mlp_tile},
                  .dequantisations = {memory.dequantisation},
                  .checkpoints = {memory.checkpoints}};
  if (bounds.only_recompute) return options;
  while (options.splits.back() < bounds.num_documents) {
    options.splits.push_back(std::min(2 * options.splits.back(), bounds.num_documents));
  }
  while (options.head_chunks.back() > kLeastHeadChunk) {
    options.head_chunks.push_back(std::max(options.head_chunks.back() / 4, kLeastHeadChunk));
  }
  if (memory.mlp_tile == 0 && bounds.mlp_tile > 0) options.mlp_tiles.push_back(bounds.mlp_tile);
  if (bounds.is_quantized && memory.dequantisation == Dequantisation::kOnceABlock) {
    options.dequantisations.push_back(Dequantisation::kEachProduct);
  }
  if (bounds.has_own_memory && memory.checkpoints == Checkpoints::kOnDevice) {
    options.checkpoints.push_back(Checkpoints::kOnHost);
  }
  return options;
}

// A setting with as few blocks recomputed as the start has, and its step's seconds.
struct Candidate {
  StepSettings settings;
  double seconds = 0.0;
};

// All combinations, the quickest first; among equals the one that changes least.
std::vector<Candidate> candidates_from(const Work& work, const StepSettings& start,
                                       const LadderBounds& bounds, const DeviceRates& rates) {
  const Options options = options_of(start, bounds);
  std::vector<Candidate> candidates;
  for (const int64_t split : options.splits) {
    for (const Checkpoints checkpoints : options.checkpoints) {
      for (const int64_t mlp_tile : options.mlp_tiles) {
        for (const Dequantisation dequantisation : options.dequantisations) {
          for (const int64_t head_chunk : options.head_chunks) {
            const StepSettings settings{.split = split,
                                        .memory = {.num_recomputed = start.memory.num_recomputed,
                                                   .dequantisation = dequantisation,
                                                   .checkpoints = checkpoints,
                                                   .mlp_tile = mlp_tile,
                                                   .head_chunk_bytes = head_chunk}};
            candidates.push_back({settings, seconds_of(work, settings, rates)});
          }
        }
      }
    }
  }
  std::ranges::stable_sort(candidates, {}, &Candidate::seconds);
  return candidates;
}

// The most recomputed blocks with which the candidate takes less than `seconds`; nothing where it
// does not with the fewest.
std::optional<int64_t> most_worth_trying(const Work& work, const Candidate& candidate, int64_t most,
                                         double seconds, const DeviceRates& rates) {
  if (candidate.seconds >= seconds) return std::nullopt;
  const int64_t fewest = candidate.settings.memory.num_recomputed;
  const int64_t too_many = smallest(fewest, most + 1, [&](int64_t num_recomputed) {
    return num_recomputed > most ||
           seconds_of(work, recomputing(candidate.settings, num_recomputed), rates) >= seconds;
  });
  return too_many - 1;
}

// The first rung that fits, or the last one.
Choice climb(StepPeaks& peaks, const StepSettings& start, const LadderBounds& bounds,
             int64_t limit) {
  Choice choice{.settings = start, .peak = peaks.peak(start)};
  while (choice.peak > limit) {
    const std::optional<StepSettings> next = next_rung(choice.settings, bounds);
    if (!next) return choice;
    choice.settings = *next;
    choice.peak = peaks.peak(*next);
  }
  choice.fits = true;
  return choice;
}

}  // namespace

Choice choose_settings(StepPeaks& peaks, const StepSettings& start, const LadderBounds& bounds,
                       const ChoiceTarget& target) {
  const auto& [limit, work, rates] = target;
  // A setting to be beaten, soon found.
  Choice best = climb(peaks, start, bounds, limit);
  double seconds = seconds_of(work, best.settings, rates);
  // With everything given up for it nothing may fit, or nothing may have to be given up.
  if (best.fits && best.settings != start) {
    for (const Candidate& candidate : candidates_from(work, start, bounds, rates)) {
      const auto most = most_worth_trying(work, candidate, bounds.most_recomputed, seconds, rates);
      if (!most) break;  // nor does any of those that follow
      const auto fits = [&](int64_t num_recomputed) {
        return peaks.peak(recomputing(candidate.settings, num_recomputed)) <= target.limit;
      };
      if (!fits(*most)) continue;
      best.settings =
          recomputing(candidate.settings, smallest(start.memory.num_recomputed, *most, fits));
      best.peak = peaks.peak(best.settings);
      seconds = seconds_of(work, best.settings, rates);
    }
  }
  best.host_peak = host_peak(with_settings(peaks.shape(), best.settings));
  return best;
}

int64_t choose_num_streamed(StepPeaks& peaks, int64_t most, const StepSettings& settings,
                            int64_t limit) {
  const auto fits = [&](int64_t num_streamed) {
    return peaks.streaming(num_streamed).peak(settings) <= limit;
  };
  // One and two blocks save nothing: they have a place each.
  return fits(0) ? 0 : smallest(0, most, fits);
}

}  // namespace rung::fit
