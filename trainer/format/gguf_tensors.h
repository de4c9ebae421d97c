// Which tensor of a GGUF file is which of the Hugging Face model, and in what order its rows lie.
//
// llama.cpp turns neighbouring values of a head (interleaved RoPE), Hugging Face values half a head
// apart, so the converter permutes the rows of q and k of the llama architecture: within a head the
// file's row 2 i + j is row j head_dim / 2 + i of the model, i < head_dim / 2, j < 2. The qwen
// architectures are stored as they are. Source: llama.cpp convert_hf_to_gguf.py,
// LlamaModel.permute.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/gguf.h"
#include "format/model_config.h"

namespace rung::format {

enum class RowOrder { kAsStored, kInterleavedHeads };

struct ImportedTensor {
  std::string name;  // in the Hugging Face model
  const GgufTensor* source = nullptr;
  RowOrder row_order = RowOrder::kAsStored;
};

// All tensors of the model, in its order. Throws Error: kDamaged where one is missing or has
// another shape than `config` implies, kConfig where the file has one that the model has not.
std::vector<ImportedTensor> plan_gguf_tensors(const GgufFile& file, const ModelConfig& config);

// The row of a file's tensor that is row `row` of the model's, in kInterleavedHeads order.
int64_t interleaved_row(int64_t row, int64_t head_dim);

}  // namespace rung::format
