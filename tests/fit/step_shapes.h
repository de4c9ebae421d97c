// Steps whose memory is looked at.
#pragma once

#include <cstdint>
#include <vector>

#include "fit/step_memory.h"
#include "tests/support/tiny_transformer.h"

namespace rung::testing {

// One micro-batch of documents of these lengths.
inline data::StepBatch batch(const std::vector<int64_t>& lengths) {
  const auto examples = random_examples(lengths, 3);
  std::vector<int64_t> all(lengths.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  return step_batch(examples, {all});
}

// Llama 3.1 8B, NF4, rank 16 on every linear, 2 x 2048 tokens.
inline fit::StepShape shape_of_8b() {
  const TempDir dir;
  const auto config = format::read_model_config(
      dir.write("config.json", nlohmann::json{{"architectures", {"LlamaForCausalLM"}},
                                              {"vocab_size", 128256},
                                              {"hidden_size", 4096},
                                              {"intermediate_size", 14336},
                                              {"num_hidden_layers", 32},
                                              {"num_attention_heads", 32},
                                              {"num_key_value_heads", 8},
                                              {"max_position_embeddings", 131072}}
                                   .dump()));
  return {.config = config,
          .model = {.compute = c10::kBFloat16, .max_positions = 2048},
          .adapter = {.r = 16, .modules = all_linears(32)},
          .batch = batch({2048, 2048})};
}

}  // namespace rung::testing
