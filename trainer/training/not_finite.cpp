#include "training/not_finite.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "data/split.h"

namespace rung::training {
namespace {

constexpr size_t kMostNamed = 4;

int64_t num_documents(const data::StepBatch& batch) {
  int64_t count = 0;
  for (const data::MicroBatch& micro_batch : batch.micro_batches) {
    count += std::ssize(micro_batch.documents);
  }
  return count;
}

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
  step::StepOptions unscaled = options;
  unscaled.loss_scale = nullptr;
  std::vector<int64_t> found;
  try {
    for (data::MicroBatch& document : data::split_step(batch, num_documents(batch)).micro_batches) {
      const int64_t which = document.documents.front();
      if (document.num_supervised() == 0) continue;  // adds nothing to either
      const data::StepBatch alone{.micro_batches = {std::move(document)}, .epoch = batch.epoch};
      const step::StepResult result = step::compute_gradients(model, alone, index, unscaled);
      if (result.outcome == step::StepOutcome::kStopped) break;
      if (result.outcome == step::StepOutcome::kNotFinite) found.push_back(which);
    }
  } catch (const c10::OutOfMemoryError&) {  // what was found is worth telling all the same
  }
  return found;
}

std::string skipped_text(int64_t step, const step::StepResult& result,
                         std::span<const int64_t> documents, const data::StepBatch& batch,
                         std::span<const data::Example> examples) {
  const int64_t count = num_documents(batch);
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
