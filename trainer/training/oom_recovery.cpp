#include "training/oom_recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "memory/counting_allocator.h"

namespace rung::training {
namespace {

[[noreturn]] void give_up(const std::string& during, const std::string& reason,
                          const std::string& settings, const std::string& why) {
  throw Error(ExitCode::kDoesNotFit, {.what = fmt::format("out of memory in {}", during),
                                      .got = reason,
                                      .expected = fmt::format("that it fits with {}", settings),
                                      .hint = why});
}

// What is left to the user where nothing is left to the ladder.
std::string last_advice(const fit::LadderBounds& bounds) {
  if (bounds.num_tokens == 0) return "raise memory_limit, or free memory of the device";
  return "it is the last rung: lower sequence_len, take a smaller base (adapter: qlora), or a GPU "
         "with more memory";
}

struct Lengths {
  int64_t documents = 0;
  int64_t shortest = std::numeric_limits<int64_t>::max();
  int64_t longest = 0;

  void add(const data::MicroBatch& batch) {
    for (size_t i = 0; i + 1 < batch.cu_seqlens.size(); ++i) {
      const int64_t length = batch.cu_seqlens[i + 1] - batch.cu_seqlens[i];
      shortest = std::min(shortest, length);
      longest = std::max(longest, length);
      ++documents;
    }
  }
  std::string text() const {
    return shortest == longest
               ? fmt::format("{} tokens", format_count(longest))
               : fmt::format("{} to {} tokens", format_count(shortest), format_count(longest));
  }
};

}  // namespace

std::string text_of(const data::MicroBatch& batch) {
  Lengths lengths;
  lengths.add(batch);
  return fmt::format("{} documents, {}, {} together", lengths.documents, lengths.text(),
                     format_count(batch.num_tokens()));
}

std::string_view name_of(SettingsOf settings) {
  switch (settings) {
    case SettingsOf::kTrain:
      return "train";
    case SettingsOf::kEval:
      return "eval";
    case SettingsOf::kSave:
      return "save";
  }
  return {};
}

Attempted attempted_step(const data::StepBatch& batch, int64_t step,
                         std::span<const data::Example> examples) {
  Lengths lengths;
  Attempted what;
  for (const data::MicroBatch& micro_batch : batch.micro_batches) {
    lengths.add(micro_batch);
    for (const int64_t i : micro_batch.documents) {
      const data::Example& example = examples[static_cast<size_t>(i)];
      if (!what.longest || example.num_tokens() > what.longest->num_tokens()) {
        what.longest = &example;
      }
    }
  }
  what.during =
      fmt::format("step {} ({} documents in {} micro-batches, {}, the longest of them {})", step,
                  lengths.documents, batch.micro_batches.size(), lengths.text(),
                  what.longest ? what.longest->source : "unknown");
  return what;
}

fit::LadderBounds bounds_of(const data::MicroBatch& batch, const fit::StepSettings& start) {
  return {.num_documents = std::ssize(batch.documents),
          .num_tokens = batch.num_tokens(),
          .head_chunk = std::max(fit::kFullHeadChunk, start.memory.head_chunk_bytes)};
}

OomRecovery::OomRecovery(memory::Device& device, int64_t most_recoveries,
                         std::function<void(const OutOfMemory&)> report)
    : device_(device), most_recoveries_(most_recoveries), report_(std::move(report)) {}

void OomRecovery::recover(const Attempted& what, const std::string& reason,
                          const fit::LadderBounds& bounds, fit::StepSettings& settings) {
  const std::string from = fit::describe(settings, bounds);
  if (num_recoveries_ >= most_recoveries_) {
    give_up(what.during, reason, from,
            most_recoveries_ == 0
                ? "rung goes on by itself with fit: auto and max_oom_recoveries above 0; or lower "
                  "micro_batch_size"
                : "max_oom_recoveries is reached; raise memory_limit, or lower micro_batch_size or "
                  "sequence_len");
  }
  ++num_recoveries_;
  device_.release_cached();
  memory::release_kept_blocks();  // the host's, beside a GPU
  const bool is_again = !has_just_failed_;
  if (!is_again) {
    const std::optional<fit::StepSettings> next = fit::next_rung(settings, bounds);
    if (!next) give_up(what.during, reason, from, last_advice(bounds));
    settings = *next;
  }
  has_just_failed_ = true;
  report_({.what = what,
           .reason = reason,
           .from = from,
           .to = fit::describe(settings, bounds),
           .is_again = is_again});
}

}  // namespace rung::training
