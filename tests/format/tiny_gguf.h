// A whole model as GGUF, small enough for a test: 2 blocks, width 32, 4 heads of 8, 2 for keys.
#pragma once

#include <string>
#include <vector>

#include "tests/support/gguf_builder.h"

namespace rung::testing {

inline constexpr uint64_t kTinyHidden = 32;
inline constexpr uint64_t kTinyWide = 64;
inline constexpr uint64_t kTinyKvRows = 16;

// rows x columns values; row r is r + c / 1024 in column c, exact in bfloat16 for r below 8.
inline std::vector<float> ramp(uint64_t rows, uint64_t columns) {
  std::vector<float> values;
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t column = 0; column < columns; ++column) {
      values.push_back(static_cast<float>(row) + static_cast<float>(column) / 1024.0F);
    }
  }
  return values;
}

inline void add_matrix(GgufBuilder& builder, const std::string& name, uint64_t rows,
                       uint64_t columns) {
  builder.add_floats(name, {rows, columns}, ramp(rows, columns));
}

inline void add_vector(GgufBuilder& builder, const std::string& name, uint64_t size) {
  builder.add_floats(name, {size}, ramp(size, 1));
}

inline const std::vector<std::string> kTinyTokens = {"<|end|>", "a", "b",      "ab",
                                                     "\u0120",  "1", "<tool>", "[p]"};

inline void add_tiny_tokenizer(GgufBuilder& builder) {
  builder.add("tokenizer.ggml.model", "gpt2");
  builder.add("tokenizer.ggml.pre", "smollm");
  builder.add("tokenizer.ggml.tokens", kTinyTokens);
  // control, 5 normal, user-defined, unused
  builder.add("tokenizer.ggml.token_type", std::vector<int32_t>{3, 1, 1, 1, 1, 1, 4, 5});
  builder.add("tokenizer.ggml.merges", std::vector<std::string>{"a b"});
  builder.add("tokenizer.ggml.bos_token_id", uint32_t{0});
  builder.add("tokenizer.ggml.eos_token_id", uint32_t{0});
  builder.add("tokenizer.ggml.add_bos_token", false);
  builder.add("tokenizer.chat_template", "{{ messages }}");
}

inline void add_tiny_tensors(GgufBuilder& builder) {
  add_matrix(builder, "token_embd.weight", kTinyTokens.size(), kTinyHidden);
  for (int layer = 0; layer < 2; ++layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    add_vector(builder, block + "attn_norm.weight", kTinyHidden);
    add_matrix(builder, block + "attn_q.weight", kTinyHidden, kTinyHidden);
    add_matrix(builder, block + "attn_k.weight", kTinyKvRows, kTinyHidden);
    add_matrix(builder, block + "attn_v.weight", kTinyKvRows, kTinyHidden);
    add_matrix(builder, block + "attn_output.weight", kTinyHidden, kTinyHidden);
    add_vector(builder, block + "ffn_norm.weight", kTinyHidden);
    add_matrix(builder, block + "ffn_gate.weight", kTinyWide, kTinyHidden);
    add_matrix(builder, block + "ffn_up.weight", kTinyWide, kTinyHidden);
    add_matrix(builder, block + "ffn_down.weight", kTinyHidden, kTinyWide);
  }
  add_vector(builder, "output_norm.weight", kTinyHidden);
}

// `arch`: "llama", "qwen2" or "qwen3"; the tensors are those that all of them have.
inline GgufBuilder tiny_gguf(const std::string& arch = "llama") {
  GgufBuilder builder;
  builder.add("general.architecture", arch);
  builder.add(arch + ".block_count", uint32_t{2});
  builder.add(arch + ".context_length", uint32_t{128});
  builder.add(arch + ".embedding_length", uint32_t{kTinyHidden});
  builder.add(arch + ".feed_forward_length", uint32_t{kTinyWide});
  builder.add(arch + ".attention.head_count", uint32_t{4});
  builder.add(arch + ".attention.head_count_kv", uint32_t{2});
  builder.add(arch + ".attention.layer_norm_rms_epsilon", 1e-5F);
  builder.add(arch + ".rope.freq_base", 100000.0F);
  add_tiny_tokenizer(builder);
  add_tiny_tensors(builder);
  return builder;
}

}  // namespace rung::testing
