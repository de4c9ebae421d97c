#include "model/random_weights.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <span>

namespace rung::model {
namespace {

constexpr double kDeviation = 0.02;  // initializer_range of Llama and Qwen
constexpr int64_t kGrain = 1 << 15;  // elements that are worth a thread's while

Spread spread_of(const std::string& name) {
  const bool is_norm = name.ends_with("norm.weight");
  return {.mean = is_norm ? 1.0 : 0.0, .deviation = kDeviation};
}

}  // namespace

c10::ScalarType RandomWeights::dtype(const std::string&) const { return c10::kFloat; }

void RandomWeights::read(const std::string& name, int64_t first, at::Tensor& piece) const {
  const Spread spread = spread_of(name);
  const CounterRandom random(seed_, stream_of(name));
  if (!piece.is_cpu()) {
    fill_by_generator(piece, spread, random.bits(static_cast<uint64_t>(first)));
    return;
  }
  float* values = piece.data_ptr<float>();
  at::parallel_for(0, piece.numel(), kGrain, [&](int64_t begin, int64_t end) {
    random.fill_near_normal(static_cast<uint64_t>(first + begin), spread,
                            std::span(values + begin, static_cast<size_t>(end - begin)));
  });
}

void fill_by_generator(at::Tensor& piece, const Spread& spread, uint64_t key) {
  at::Generator generator = at::globalContext().defaultGenerator(piece.device()).clone();
  generator.set_current_seed(key);
  piece.normal_(spread.mean, spread.deviation, generator);
}

}  // namespace rung::model
