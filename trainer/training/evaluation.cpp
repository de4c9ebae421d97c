#include "training/evaluation.h"

#include <cmath>
#include <iterator>

#include "base/stopwatch.h"
#include "data/loader.h"
#include "data/split.h"

namespace rung::training {

double evaluation_loss(const model::Transformer& model, const data::MicroBatch& batch,
                       OomRecovery* recovery, fit::StepSettings& settings) {
  const auto attempt = [&](const fit::StepSettings& now) {
    double sum = 0.0;
    for (const data::MicroBatch& part : data::split_micro_batch(batch, now.split)) {
      sum += model.loss(part, now.memory).item<double>();
    }
    return sum;
  };
  if (recovery == nullptr) return attempt(settings);
  return recovery->run(
      {.during = "an evaluation of " + text_of(batch), .settings = SettingsOf::kEval},
      bounds_of(batch, settings), settings, attempt);
}

Evaluation evaluate(const model::Transformer& model, std::span<const data::Example> examples,
                    const EvaluationOptions& options, fit::StepSettings& settings) {
  const Stopwatch stopwatch;
  Evaluation result;
  double loss_sum = 0.0;
  int64_t done = 0;
  for (const data::MicroBatch& batch : data::evaluation_batches(examples, options.batch_size)) {
    if (options.should_stop && options.should_stop()) {
      result.complete = false;
      break;
    }
    loss_sum += evaluation_loss(model, batch, options.recovery, settings);
    result.tokens += batch.num_supervised();
    done += std::ssize(batch.documents);
    if (options.on_progress) options.on_progress(done);
  }
  if (result.tokens > 0) result.loss = loss_sum / static_cast<double>(result.tokens);
  result.perplexity = std::exp(result.loss);
  result.seconds = stopwatch.seconds();
  return result;
}

}  // namespace rung::training
