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
#include "ops/upload.h"

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
  const auto options = at::TensorOptions(model.options().device).dtype(model.precision().compute);
  std::vector<ops::KvCache> caches(static_cast<size_t>(model.num_blocks()));
  for (ops::KvCache& cache : caches) {
    cache = {at::empty({rows, features}, options), at::empty({rows, features}, options)};
  }
  return caches;
}

// The tokens of one pass.
struct Pass {
  TokenIds ids;
  std::vector<int32_t> positions;
  std::vector<int32_t> cache_rows;
  std::vector<int32_t> last;  // of each sequence, its last token
  std::vector<kernels::AttentionSegment> segments;

  // Takes the pending tokens of `sequence` in.
  void add(Sequence& sequence) {
    const auto count = static_cast<int64_t>(sequence.pending.size());
    segments.push_back({.q_begin = static_cast<int64_t>(ids.size()),
                        .num_q = count,
                        .k_begin = sequence.cache_begin,
                        .num_k = sequence.length + count});
    for (const int32_t id : sequence.pending) {
      add_token(id, sequence.length, sequence.cache_begin + sequence.length);
      ++sequence.length;
    }
    sequence.pending.clear();
    last.push_back(static_cast<int32_t>(ids.size()) - 1);
  }

  // A sequence that nobody reads, so that the number of tokens suits the GEMMs. Its keys go to the
  // cache rows from cache_begin on.
  void pad(const ops::Precision& precision, int64_t cache_begin) {
    const auto num_tokens = static_cast<int64_t>(ids.size());
    const int64_t missing = ops::padded_rows(num_tokens, precision) - num_tokens;
    if (missing == 0) return;
    segments.push_back({num_tokens, missing, cache_begin, missing});
    for (int64_t i = 0; i < missing; ++i) add_token(0, 0, cache_begin + i);
  }

 private:
  void add_token(int32_t id, int64_t position, int64_t cache_row) {
    ids.push_back(id);
    positions.push_back(static_cast<int32_t>(position));
    cache_rows.push_back(static_cast<int32_t>(cache_row));
  }
};

// Rows of a cache beside those of the sequences: the most that Pass::pad needs.
constexpr int64_t kPaddingRows = 64;

// Runs the pending tokens of `batch` and returns logits fp32 [batch, vocab] of each one's last, on
// the CPU.
at::Tensor run_pending(const Transformer& model, std::vector<ops::KvCache>& caches,
                       std::span<Sequence* const> batch) {
  Pass pass;
  for (Sequence* sequence : batch) pass.add(*sequence);
  pass.pad(model.precision(), caches.front().k.size(0) - kPaddingRows);
  const c10::Device device = model.options().device;
  PassContext context = model.make_context(pass.positions);
  context.documents = ops::make_documents(std::move(pass.segments), context.heads.kernel, device);
  context.cache = {.layers = &caches,
                   .rows = ops::upload(std::span<const int32_t>(pass.cache_rows), device)};
  const at::Tensor x = model.forward(model.embed(pass.ids), context);
  const at::Tensor last = ops::upload(std::span<const int32_t>(pass.last), device);
  return ops::head_logits(ops::gather_rows(x, last), model.head(), model.precision()).cpu();
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
    std::vector<TokenIds> results(prompts.size());
    for (size_t first = 0; first < prompts.size() && !stopped_;) {
      std::vector<Sequence> sequences = next_wave(prompts, first);
      first += sequences.size();
      run_wave(sequences);
      for (Sequence& sequence : sequences) {
        results[sequence.index] = std::move(sequence.generated);
      }
    }
    return results;
  }

 private:
  int64_t rows_of(const TokenIds& prompt) const {
    return std::ssize(prompt) + options_.max_new_tokens;
  }

  // The prompts from `first` on whose caches together keep within the budget; at least one.
  std::vector<Sequence> next_wave(const std::vector<TokenIds>& prompts, size_t first) const {
    const int64_t budget = options_.max_cache_bytes / cache_bytes_per_token(model_);
    std::vector<Sequence> wave;
    int64_t rows = 0;
    for (size_t i = first; i < prompts.size(); ++i) {
      if (!wave.empty() && rows + rows_of(prompts[i]) > budget) break;
      wave.push_back({.index = i, .pending = prompts[i], .cache_begin = rows});
      rows += rows_of(prompts[i]);
    }
    return wave;
  }

  void run_wave(std::vector<Sequence>& sequences) {
    const Sequence& last = sequences.back();
    caches_.clear();  // the last wave's, before this one's are made
    caches_ = make_caches(model_, last.cache_begin + rows_of(last.pending) + kPaddingRows);
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
  }

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

int64_t cache_bytes_per_token(const Transformer& model) {
  const int64_t features = model.config().num_kv_heads * model.config().head_dim;
  const auto element = static_cast<int64_t>(c10::elementSize(model.precision().compute));
  return 2 * model.num_blocks() * features * element;
}

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
