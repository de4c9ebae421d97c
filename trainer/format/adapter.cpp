#include "format/adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cassert>
#include <set>
#include <span>
#include <utility>

#include "base/error.h"
#include "format/adapter_config.h"
#include "format/float_convert.h"
#include "format/safetensors.h"

namespace rung::format {

namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight";
constexpr std::string_view kSuffixB = ".lora_B.weight";

std::string tensor_name(const std::string& module, std::string_view suffix) {
  return std::string(kPrefix) + module + std::string(suffix);
}

// The module of a LoRA tensor; features of PEFT beyond plain LoRA show in the names as well.
std::string module_of(const std::string& name, const std::string& where) {
  const bool is_lora = name.ends_with(kSuffixA) || name.ends_with(kSuffixB);
  if (name.starts_with(kPrefix) && is_lora) {
    return name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffixA.size());
  }
  const auto contains = [&](std::string_view part) { return name.find(part) != name.npos; };
  const char* feature = contains("lora_magnitude_vector") ? "DoRA is not supported"
                        : contains("lora_embedding_")     ? "LoRA on embeddings is not supported"
                        : contains("lora_B.bias")         ? "lora_bias is not supported"
                                                          : "modules_to_save is not supported";
  throw Error(ExitCode::kConfig, {.what = "the adapter has a tensor beyond plain LoRA",
                                  .got = "'" + name + "'",
                                  .expected = "base_model.model.<module>.lora_A.weight and lora_B",
                                  .hint = feature,
                                  .where = where});
}

std::vector<float> read_as_float(const SafetensorsFile& file, const std::string& name) {
  const TensorInfo& info = file.tensors().at(name);
  std::vector<float> values(static_cast<size_t>(info.num_elements()));
  if (info.dtype == DType::kF32) {
    file.read(name, 0, std::as_writable_bytes(std::span(values)));
    return values;
  }
  std::vector<uint16_t> bits(values.size());
  file.read(name, 0, std::as_writable_bytes(std::span(bits)));
  const auto convert = info.dtype == DType::kF16 ? half_to_float : bfloat16_to_float;
  for (size_t i = 0; i < bits.size(); ++i) values[i] = convert(bits[i]);
  return values;
}

// The tensor exists, is a matrix of a float type, and its `rank_dimension` is r.
const TensorInfo& checked_info(const SafetensorsFile& file, const std::string& name,
                               size_t rank_dimension, int64_t r) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end()) {
    throw Error(ExitCode::kDamaged, {.what = "tensor '" + name + "' is missing",
                                     .expected = "lora_A and lora_B of every module",
                                     .where = file.path().string()});
  }
  const TensorInfo& info = found->second;
  const bool is_float =
      info.dtype == DType::kF32 || info.dtype == DType::kF16 || info.dtype == DType::kBF16;
  if (!is_float || info.shape.size() != 2 || info.shape[rank_dimension] != r ||
      info.num_elements() == 0) {
    const std::string shape =
        rank_dimension == 0 ? fmt::format("[{}, in]", r) : fmt::format("[out, {}]", r);
    throw Error(ExitCode::kDamaged,
                {.what = "tensor '" + name + "' does not fit adapter_config.json",
                 .got = fmt::format("{} {}", name_of(info.dtype), info.shape),
                 .expected = "F32, F16 or BF16 " + shape,
                 .where = file.path().string()});
  }
  return info;
}

AdapterTensor read_pair(const SafetensorsFile& file, const std::string& module, int64_t r) {
  const std::string name_a = tensor_name(module, kSuffixA);
  const std::string name_b = tensor_name(module, kSuffixB);
  const TensorInfo& a = checked_info(file, name_a, 0, r);
  const TensorInfo& b = checked_info(file, name_b, 1, r);
  return {.module = module,
          .in_features = a.shape[1],
          .out_features = b.shape[0],
          .a = read_as_float(file, name_a),
          .b = read_as_float(file, name_b)};
}

}  // namespace

AdapterFolder read_adapter(const std::filesystem::path& dir) {
  AdapterFolder adapter{.config = read_adapter_config(dir), .tensors = {}};
  const std::filesystem::path path = dir / "adapter_model.safetensors";
  if (!std::filesystem::exists(path) && std::filesystem::exists(dir / "adapter_model.bin")) {
    throw Error(ExitCode::kConfig,
                {.what = "the adapter is stored in a format that can run code when read",
                 .got = "adapter_model.bin",
                 .expected = "adapter_model.safetensors",
                 .hint = "save it again with safe_serialization=True",
                 .where = dir.string()});
  }
  const SafetensorsFile file(path);
  std::set<std::string> modules;
  for (const auto& entry : file.tensors()) modules.insert(module_of(entry.first, path.string()));
  for (const std::string& module : modules) {
    adapter.tensors.push_back(read_pair(file, module, adapter.config.r));
  }
  if (adapter.tensors.empty()) {
    throw Error(ExitCode::kDamaged, {.what = "the adapter has no tensors", .where = path.string()});
  }
  return adapter;
}

void write_adapter(const std::filesystem::path& dir, const AdapterFolder& adapter) {
  const int64_t r = adapter.config.r;
  std::vector<TensorToWrite> tensors;
  for (const AdapterTensor& tensor : adapter.tensors) {
    assert(static_cast<int64_t>(tensor.a.size()) == r * tensor.in_features);
    assert(static_cast<int64_t>(tensor.b.size()) == r * tensor.out_features);
    tensors.push_back({.name = tensor_name(tensor.module, kSuffixA),
                       .dtype = DType::kF32,
                       .shape = {r, tensor.in_features},
                       .data = std::as_bytes(std::span(tensor.a))});
    tensors.push_back({.name = tensor_name(tensor.module, kSuffixB),
                       .dtype = DType::kF32,
                       .shape = {tensor.out_features, r},
                       .data = std::as_bytes(std::span(tensor.b))});
  }
  write_safetensors(dir / "adapter_model.safetensors", std::move(tensors), {{"format", "pt"}});
  write_adapter_config(dir, adapter.config);
}

}  // namespace rung::format
