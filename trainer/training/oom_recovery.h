// Going on where memory runs out.
//
// What failed is done again: once as it was, with cached memory given back (a neighbour's spike may
// be over; the bits are the same), then on the next rung of the ladder (fit/ladder.h), and so on.
// Only where there is no rung left, or too many of these have been needed, does the run end.
#pragma once

#include <c10/util/Exception.h>

#include <cstdint>
#include <functional>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "data/loader.h"
#include "fit/ladder.h"
#include "memory/device.h"
#include "training/failure.h"

namespace rung::training {

// Whose settings are changed where memory runs out.
enum class SettingsOf { kTrain, kEval, kSave };
std::string_view name_of(SettingsOf settings);  // "train", "eval", "save"

// What is tried, for those who look at its failure.
struct Attempted {
  std::string during;  // "step 12 (4 documents, 96 to 512 tokens, 1,403 together)"
  SettingsOf settings = SettingsOf::kTrain;
  const data::Example* longest = nullptr;  // of its documents
};

// One failure, and what is done about it.
struct OutOfMemory {
  Attempted what;
  std::string reason;     // what the allocator says
  std::string from;       // settings, in words
  std::string to;         // likewise
  bool is_again = false;  // nothing is changed, it is just done again
};

// "4 documents, 96 to 512 tokens, 1,403 together"
std::string text_of(const data::MicroBatch& batch);
// "step 12 (16 documents in 4 micro-batches, 96 to 512 tokens, the longest of them train.jsonl:17)"
Attempted attempted_step(const data::StepBatch& batch, int64_t step,
                         std::span<const data::Example> examples);

// Of an evaluation's batch, which has nothing but its documents to be cut between, and starts with
// `start`.
fit::LadderBounds bounds_of(const data::MicroBatch& batch, const fit::StepSettings& start);

class OomRecovery {
 public:
  // report: called for each failure that is not the end.
  OomRecovery(memory::Device& device, int64_t most_recoveries,
              std::function<void(const OutOfMemory&)> report);

  // What `attempt` returns, called with `settings` and, where it throws c10::OutOfMemoryError or
  // std::bad_alloc (a kernel's own scratch memory, say), again as said above; `settings` is then
  // what it succeeded with. attempt must be able to start over. Throws Error kDoesNotFit at the end
  // of the ladder or of the allowed recoveries.
  template <typename Attempt>
  auto run(const Attempted& what, const fit::LadderBounds& bounds, fit::StepSettings& settings,
           Attempt&& attempt) {
    while (true) {
      std::string reason;
      try {
        auto result = attempt(std::as_const(settings));
        has_just_failed_ = false;
        return result;
      } catch (const c10::OutOfMemoryError& error) {
        reason = error.what_without_backtrace();
      } catch (const std::bad_alloc&) {
        reason = kRefusedBySystem;
      }
      // Outside the handler: the exception, and what it kept alive, are gone.
      recover(what, reason, bounds, settings);
    }
  }

  int64_t num_recoveries() const { return num_recoveries_; }

 private:
  void recover(const Attempted& what, const std::string& reason, const fit::LadderBounds& bounds,
               fit::StepSettings& settings);

  memory::Device& device_;
  int64_t most_recoveries_;
  std::function<void(const OutOfMemory&)> report_;
  int64_t num_recoveries_ = 0;
  bool has_just_failed_ = false;  // the last attempt, too
};

}  // namespace rung::training
