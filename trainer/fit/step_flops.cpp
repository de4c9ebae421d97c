#include "fit/step_flops.h"

#include <fmt/format.h>

#include <array>
#include <set>
#include <string>

namespace rung::fit {
namespace {

struct LinearShape {
  const char* name;  // inside the block
  int64_t in;
  int64_t out;
};

// The last one is not needed again in a recomputed block.
std::array<LinearShape, 7> linears_of(const format::ModelConfig& model) {
  const int64_t hidden = model.hidden_size;
  const int64_t queries = model.num_heads * model.head_dim;
  const int64_t keys = model.num_kv_heads * model.head_dim;
  return {{{"self_attn.q_proj", hidden, queries},
           {"self_attn.k_proj", hidden, keys},
           {"self_attn.v_proj", hidden, keys},
           {"self_attn.o_proj", queries, hidden},
           {"mlp.gate_proj", hidden, model.intermediate_size},
           {"mlp.up_proj", hidden, model.intermediate_size},
           {"mlp.down_proj", model.intermediate_size, hidden}}};
}

// Operations of one token in the linears of one block.
struct PerToken {
  double linears = 0.0;   // forward
  double adapters = 0.0;  // forward
  double backward = 0.0;  // of the adapters
  double recomputed = 0.0;
};

PerToken per_token(const format::ModelConfig& model, const std::set<std::string>& adapted,
                   int64_t block, int64_t r) {
  PerToken sum;
  for (const LinearShape& linear : linears_of(model)) {
    const auto in = static_cast<double>(linear.in);
    const auto out = static_cast<double>(linear.out);
    const bool has_adapter =
        adapted.contains(fmt::format("model.layers.{}.{}", block, linear.name));
    const double twice_r = has_adapter ? 2.0 * static_cast<double>(r) : 0.0;
    sum.recomputed = sum.linears + sum.adapters;  // all before this one
    sum.linears += 2.0 * in * out;
    sum.adapters += twice_r * (in + out);
    sum.backward += twice_r * (3.0 * in + 2.0 * out);
  }
  return sum;
}

}  // namespace

void StepCounts::add_document(int64_t num_tokens, int64_t num_supervised) {
  const auto n = static_cast<double>(num_tokens);
  tokens += n;
  supervised += static_cast<double>(num_supervised);
  pairs += n * (n + 1.0) / 2.0;
}

StepCounts counts_of(const data::StepBatch& batch) {
  StepCounts counts;
  for (const data::MicroBatch& micro_batch : batch.micro_batches) {
    for (size_t i = 0; i + 1 < micro_batch.cu_seqlens.size(); ++i) {
      counts.add_document(micro_batch.cu_seqlens[i + 1] - micro_batch.cu_seqlens[i], 0);
    }
    counts.supervised += static_cast<double>(micro_batch.num_supervised());
  }
  return counts;
}

StepFlops step_flops(const format::ModelConfig& model, const model::AdapterOptions& adapter,
                     const StepCounts& counts, int64_t num_recomputed) {
  // Of one block, forward.
  const double attention = 4.0 * counts.pairs * static_cast<double>(model.num_heads) *
                           static_cast<double>(model.head_dim);
  const std::set<std::string> adapted(adapter.modules.begin(), adapter.modules.end());
  StepFlops flops;
  for (int64_t block = 0; block < model.num_layers; ++block) {
    const PerToken token = per_token(model, adapted, block, adapter.r);
    flops.linears += 2.0 * counts.tokens * token.linears;
    flops.adapters += counts.tokens * (token.adapters + token.backward);
    flops.attention += 3.5 * attention;
    if (block < num_recomputed) flops.recomputed += counts.tokens * token.recomputed + attention;
  }
  flops.head = 4.0 * counts.supervised * static_cast<double>(model.hidden_size) *
               static_cast<double>(model.vocab_size);
  return flops;
}

}  // namespace rung::fit
