#include "training/not_finite.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/units.h"
#include "data/split.h"

namespace rung::training {
namespace {

constexpr size_t kMostNamed = 4;

// Looks for them by halves: most documents are seen in a few passes over many.
class Search {
 public:
  Search(model::Transformer& model, int64_t epoch, int64_t index, const step::StepOptions& options)
      : model_(model), epoch_(epoch), index_(index), options_(options) {
    options_.loss_scale = nullptr;
  }

  void look_into(const data::MicroBatch& batch) {
    if (is_stopped_ || batch.num_supervised() == 0 || is_finite(batch)) return;
    if (batch.documents.size() == 1) {
      found_.push_back(batch.documents.front());
      return;
    }
    std::vector<int64_t> places(batch.documents.size());
    std::iota(places.begin(), places.end(), int64_t{0});
    const std::span<const int64_t> all(places);
    const size_t half = all.size() / 2;
    look_into(data::select_documents(batch, all.first(half)));
    look_into(data::select_documents(batch, all.subspan(half)));
  }

  const std::vector<int64_t>& found() const { return found_; }

 private:
  bool is_finite(const data::MicroBatch& batch) {
    const data::StepBatch alone{.micro_batches = {batch}, .epoch = epoch_};
    const step::StepResult result = step::compute_gradients(model_, alone, index_, options_);
    is_stopped_ = result.outcome == step::StepOutcome::kStopped;
    return result.outcome != step::StepOutcome::kNotFinite;
  }

  model::Transformer& model_;
  int64_t epoch_;
  int64_t index_;
  step::StepOptions options_;
  std::vector<int64_t> found_;
  bool is_stopped_ = false;
};

std::string names_of(std::span<const int64_t> documents, std::span<const data::Example> examples) {
  std::vector<std::string> names;
  for (const int64_t i : documents.first(std::min(documents.size(), kMostNamed))) {
    const data::Example& example = examples[static_cast<size_t>(i)];
    names.push_back(
        fmt::format("{} ({})", example.source, format_counted(example.num_tokens(), "token")));
  }
  const size_t unnamed = documents.size() - names.size();
  return fmt::format("{}{}", fmt::join(names, ", "),
                     unnamed == 0 ? "" : fmt::format(" and {} more", unnamed));
}

}  // namespace

std::vector<int64_t> find_not_finite(model::Transformer& model, const data::StepBatch& batch,
                                     int64_t index, const step::StepOptions& options) {
  Search search(model, batch.epoch, index, options);
  try {
    for (const data::MicroBatch& micro_batch : batch.micro_batches) search.look_into(micro_batch);
  } catch (const c10::OutOfMemoryError&) {  // what was found is worth telling all the same
  }
  return search.found();
}

std::string skipped_text(int64_t step, const step::StepResult& result,
                         std::span<const int64_t> documents, const data::StepBatch& batch,
                         std::span<const data::Example> examples) {
  const int64_t count = batch.num_documents();
  std::string cause;
  if (documents.empty()) {
    cause = fmt::format("though that of none of its {} is on its own",
                        format_counted(count, "document"));
  } else if (count > 1 && std::ssize(documents) == count) {
    cause = fmt::format("nor is that of any of its {}", format_counted(count, "document"));
  } else {
    cause = "because of " + names_of(documents, examples);
  }
  return fmt::format("step {} skipped: its {} is not finite, {}", step,
                     std::isfinite(result.loss) ? "gradient" : "loss", cause);
}

}  // namespace rung::training
