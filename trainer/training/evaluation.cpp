#include "training/evaluation.h"

#include <chrono>
#include <cmath>

#include "data/loader.h"

namespace rung::training {

Evaluation evaluate(const model::Transformer& model, std::span<const data::Example> examples,
                    int64_t batch_size, const std::function<bool()>& should_stop) {
  const auto start = std::chrono::steady_clock::now();
  Evaluation result;
  double loss_sum = 0.0;
  for (const data::MicroBatch& batch : data::evaluation_batches(examples, batch_size)) {
    if (should_stop && should_stop()) {
      result.complete = false;
      break;
    }
    loss_sum += model.loss(batch).item<double>();
    result.tokens += batch.num_supervised();
  }
  if (result.tokens > 0) result.loss = loss_sum / static_cast<double>(result.tokens);
  result.perplexity = std::exp(result.loss);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace rung::training
