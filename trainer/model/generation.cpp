#include "model/generation.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "base/random.h"
#include "memory/counter.h"
#include "ops/rows.h"

namespace rung::model {
namespace {

using memory::Component;
using memory::ComponentScope;

constexpr int64_t kPrefillTokens = 1024;  // in one pass: bounds the activations

// One sequence and its rows in every block's cache.
struct Sequence {
  size_t index = 0;
  TokenIds pending;  // tokens not yet run through the model
  int64_t cache_begin = 0;
  int64_t length = 0;  // tokens in the cache
  TokenIds generated;
};

std::vector<ops::KvCache> make_caches(const Transformer& model, int64_t rows) {
  const ComponentScope scope(Component::kKvCache);
  const int64_t features = model.config().num_kv_heads * model.config().head_dim;
  const auto options = at::TensorOptions().dtype(model.precision().compute);
  std::vector<ops::KvCache> caches(static_cast<size_t>(model.num_blocks()));
  for (ops::KvCache& cache : caches) {
    cache = {at::empty({rows, features}, options), at::empty({rows, features}, options)};
  }
  return caches;
}

// Runs the pending tokens of `batch` and returns logits fp32 [batch, vocab] of each one's last.
at::Tensor run_pending(const Transformer& model, std::vector<ops::KvCache>& caches,
                       std::span<Sequence* const> batch) {
  TokenIds ids;
  std::vector<int32_t> positions;
  std::vector<int32_t> last;
  PassContext context;
  ops::AttentionSegments segments;
  std::vector<int32_t> cache_rows;
  for (Sequence* sequence : batch) {
    const auto count = static_cast<int64_t>(sequence->pending.size());
    segments.push_back({.q_begin = static_cast<int64_t>(ids.size()),
                        .num_q = count,
                        .k_begin = sequence->cache_begin,
                        .num_k = sequence->length + count});
    for (const int32_t id : sequence->pending) {
      ids.push_back(id);
      positions.push_back(static_cast<int32_t>(sequence->length));
      cache_rows.push_back(static_cast<int32_t>(sequence->cache_begin + sequence->length));
      ++sequence->length;
    }
    sequence->pending.clear();
    last.push_back(static_cast<int32_t>(ids.size()) - 1);
  }
  context = model.make_context(positions);
  context.segments = std::move(segments);
  context.cache = {.layers = &caches, .rows = std::move(cache_rows)};
  const at::Tensor x = model.forward(model.embed(ids), context);
  return ops::head_logits(ops::gather_rows(x, last), model.head(), model.precision());
}

// The next prompts whose tokens together make one prefill pass; at least one.
size_t prefill_count(std::span<Sequence* const> waiting) {
  int64_t tokens = 0;
  size_t count = 0;
  while (count < waiting.size()) {
    tokens += static_cast<int64_t>(waiting[count]->pending.size());
    if (count > 0 && tokens > kPrefillTokens) break;
    ++count;
  }
  return count;
}

class Generation {
 public:
  Generation(const Transformer& model, const GenerationOptions& options)
      : model_(model), options_(options) {}

  std::vector<TokenIds> run(const std::vector<TokenIds>& prompts) {
    std::vector<Sequence> sequences(prompts.size());
    int64_t rows = 0;
    for (size_t i = 0; i < prompts.size(); ++i) {
      sequences[i] = {.index = i, .pending = prompts[i], .cache_begin = rows};
      rows += static_cast<int64_t>(prompts[i].size()) + options_.max_new_tokens;
    }
    caches_ = make_caches(model_, rows);
    std::vector<Sequence*> waiting;
    for (Sequence& sequence : sequences) waiting.push_back(&sequence);
    std::vector<Sequence*> active;
    for (std::span<Sequence* const> rest = waiting; !rest.empty() && !stopped_;) {
      const auto batch = rest.first(prefill_count(rest));
      advance(batch, active);
      rest = rest.subspan(batch.size());
    }
    while (!active.empty() && !stopped_) {
      std::vector<Sequence*> still;
      advance(active, still);
      active = std::move(still);
    }
    std::vector<TokenIds> results;
    for (Sequence& sequence : sequences) results.push_back(std::move(sequence.generated));
    return results;
  }

 private:
  // One pass over `batch`; those that go on are added to `active`.
  void advance(std::span<Sequence* const> batch, std::vector<Sequence*>& active) {
    const at::Tensor logits = run_pending(model_, caches_, batch);
    const auto vocab = static_cast<size_t>(logits.size(1));
    const float* row = logits.const_data_ptr<float>();
    for (Sequence* sequence : batch) {
      const CounterRandom random(options_.sampling.seed, sequence->index);
      const double draw = random.uniform(static_cast<uint64_t>(sequence->length));
      const int32_t token = pick_token({row, vocab}, options_.sampling, draw);
      row += vocab;
      if (std::ranges::find(options_.stop_ids, token) != options_.stop_ids.end()) continue;
      sequence->generated.push_back(token);
      if (options_.on_token && !options_.on_token(sequence->index, token)) stopped_ = true;
      if (static_cast<int64_t>(sequence->generated.size()) >= options_.max_new_tokens) continue;
      sequence->pending.push_back(token);
      active.push_back(sequence);
    }
  }

  const Transformer& model_;
  const GenerationOptions& options_;
  std::vector<ops::KvCache> caches_;
  bool stopped_ = false;
};

}  // namespace

std::vector<TokenIds> generate(const Transformer& model, const std::vector<TokenIds>& prompts,
                               const GenerationOptions& options) {
  const c10::NoGradGuard no_grad;
  if (options.max_new_tokens == 0) return std::vector<TokenIds>(prompts.size());
  return Generation(model, options).run(prompts);
}

int32_t pick_token(std::span<const float> logits, const Sampling& sampling, double draw) {
  const auto best = std::ranges::max_element(logits);
  if (sampling.temperature <= 0.0) return static_cast<int32_t>(best - logits.begin());
  std::vector<double> probability(logits.size());
  double sum = 0.0;
  for (size_t i = 0; i < logits.size(); ++i) {
    probability[i] = std::exp((static_cast<double>(logits[i]) - *best) / sampling.temperature);
    sum += probability[i];
  }
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](int32_t id) { return probability[static_cast<size_t>(id)]; });
  // The nucleus: tokens are taken until their mass reaches top_p; the first is always in.
  double mass = 0.0;
  size_t count = 0;
  while (count < order.size() && (count == 0 || mass < sampling.top_p * sum)) {
    mass += probability[static_cast<size_t>(order[count++])];
  }
  double left = draw * mass;
  for (size_t i = 0; i + 1 < count; ++i) {
    left -= probability[static_cast<size_t>(order[i])];
    if (left < 0.0) return order[i];
  }
  return order[count - 1];
}

}  // namespace rung::model
