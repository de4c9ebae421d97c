// Text generation with a key-value cache, many sequences side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "model/transformer.h"

namespace rung::model {

struct Sampling {
  double temperature = 0.0;  // 0 = greedy
  double top_p = 1.0;        // nucleus: the likeliest tokens whose probabilities add up to this
  uint64_t seed = 42;
};

struct GenerationOptions {
  int64_t max_new_tokens = 256;
  std::vector<int64_t> stop_ids;  // ending a sequence; not part of the result
  Sampling sampling;
  // Of the caches at a time. Prompts whose caches do not fit together are answered one after
  // another; a single one is let in whatever it takes.
  int64_t max_cache_bytes = int64_t{1} << 30;
  // Called with (sequence, token) as each token is chosen; false ends the generation.
  std::function<bool(size_t, int32_t)> on_token;
};

using TokenIds = std::vector<int32_t>;

// Bytes of keys and values that a token takes in all blocks.
int64_t cache_bytes_per_token(const Transformer& model);

// Continues every prompt (none empty, all ids inside the vocabulary) and returns the new tokens of
// each. Prompts and new tokens together must fit the model's RoPE table. A draw depends on (seed,
// sequence, position) alone.
std::vector<TokenIds> generate(const Transformer& model, const std::vector<TokenIds>& prompts,
                               const GenerationOptions& options);

// The token that `sampling` picks from logits [vocab]; `draw` in [0, 1) decides where it samples.
int32_t pick_token(std::span<const float> logits, const Sampling& sampling, double draw);

}  // namespace rung::model
