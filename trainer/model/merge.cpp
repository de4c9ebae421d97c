#include "model/merge.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "format/model_writer.h"
#include "model/folder_weights.h"

namespace rung::model {
namespace {

constexpr std::string_view kWeightSuffix = ".weight";

using AdaptersByWeight = std::map<std::string, const format::AdapterTensor*>;

// "<module>.weight" -> pair; every pair must fit a linear of the model.
AdaptersByWeight adapters_by_weight(const format::ModelConfig& config,
                                    const format::AdapterFolder& adapter) {
  const auto expected = format::expected_tensors(config);
  AdaptersByWeight result;
  for (const format::AdapterTensor& tensor : adapter.tensors) {
    const std::string weight = tensor.module + std::string(kWeightSuffix);
    const auto found = expected.find(weight);
    if (found == expected.end()) {
      throw Error(ExitCode::kConfig, {.what = "the adapter has a module that the model has not",
                                      .got = tensor.module,
                                      .hint = "use an adapter of this base model"});
    }
    const std::vector<int64_t> shape = {tensor.out_features, tensor.in_features};
    if (found->second != shape) {
      throw Error(ExitCode::kConfig,
                  {.what = fmt::format("the adapter's {} does not fit the model", tensor.module),
                   .got = fmt::format("[{}, {}]", shape[0], shape[1]),
                   .hint = "use an adapter of this base model"});
    }
    result[weight] = &tensor;
  }
  return result;
}

c10::ScalarType scalar_type(format::DType dtype) {
  switch (dtype) {
    case format::DType::kF32:
      return c10::kFloat;
    case format::DType::kF16:
      return c10::kHalf;
    default:
      return c10::kBFloat16;
  }
}

at::Tensor as_tensor(const std::vector<float>& values, int64_t rows, int64_t cols) {
  // from_blob wants a mutable pointer; the tensor is only read.
  return at::from_blob(const_cast<float*>(values.data()), {rows, cols}, c10::kFloat);
}

// The base's value of a tensor in fp32.
at::Tensor base_value(const WeightReader& reader, const format::ModelFolder& folder,
                      const format::TensorSpec& spec, bool adapted) {
  const bool stored_nf4 = folder.nf4_weights().contains(spec.name);
  const bool quantize = adapted && reader.options().format != BaseFormat::kDense;
  if (!stored_nf4 && !quantize) return reader.dense(spec.name, spec.shape);
  at::Tensor value = at::empty(spec.shape, at::TensorOptions().dtype(c10::kFloat));
  reader.quantized(spec.name, spec.shape[0], spec.shape[1]).write_to(value);
  return value;
}

}  // namespace

void write_merged_weights(const format::ModelFolder& folder, const format::AdapterFolder& adapter,
                          const std::filesystem::path& out_dir, const MergeOptions& options) {
  const c10::NoGradGuard no_grad;
  const AdaptersByWeight adapters = adapters_by_weight(folder.config(), adapter);
  std::vector<format::TensorSpec> specs;
  for (const auto& [name, shape] : format::expected_tensors(folder.config())) {
    specs.push_back({.name = name, .dtype = options.dtype, .shape = shape});
  }
  format::ModelWriter writer(out_dir, std::move(specs), options.max_shard_bytes);
  const WeightReader reader(std::make_unique<FolderWeights>(folder),
                            {.compute = c10::kFloat, .format = options.base});
  for (const format::TensorSpec& spec : writer.order()) {
    const auto pair = adapters.find(spec.name);
    at::Tensor value = base_value(reader, folder, spec, pair != adapters.end());
    if (pair != adapters.end()) {
      const format::AdapterTensor& tensor = *pair->second;
      value.addmm_(as_tensor(tensor.b, tensor.out_features, adapter.config.r),
                   as_tensor(tensor.a, adapter.config.r, tensor.in_features), /*beta=*/1.0,
                   adapter.config.scaling());
    }
    const at::Tensor rounded = value.to(scalar_type(options.dtype));
    if (options.dtype == format::DType::kF16 && !at::isfinite(rounded).all().item<bool>()) {
      throw Error(ExitCode::kConfig, {.what = "a merged weight is too large for fp16",
                                      .hint = "write bf16 or fp32",
                                      .where = spec.name});
    }
    writer.write(spec.name,
                 {static_cast<const std::byte*>(rounded.const_data_ptr()), rounded.nbytes()});
  }
  writer.finish();
}

}  // namespace rung::model
