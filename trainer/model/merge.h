// W' = W + scaling * B A for every adapted linear: one tensor at a time, in fp32, rounded once.
#pragma once

#include <cstdint>
#include <filesystem>

#include "format/adapter.h"
#include "format/dtype.h"
#include "format/model_folder.h"
#include "model/weight_reader.h"

namespace rung::model {

struct MergeOptions {
  format::DType dtype = format::DType::kBF16;  // of the written weights: kF32, kBF16, kF16
  BaseFormat base = BaseFormat::kDense;  // kNf4*: the adapted linears are quantised and read back
                                         // first, as QLoRA trained on them
  int64_t max_shard_bytes = int64_t{5} << 30;
};

// Writes the weights into `out_dir` (which exists): model.safetensors, or shards with an index. The
// peak is one tensor in fp32. Throws Error kConfig where the adapter names a module that the model
// has not, or another shape.
void write_merged_weights(const format::ModelFolder& folder, const format::AdapterFolder& adapter,
                          const std::filesystem::path& out_dir, const MergeOptions& options);

}  // namespace rung::model
