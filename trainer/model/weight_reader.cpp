#include "model/weight_reader.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/nf4.h"
#include "memory/counter.h"

namespace rung::model {
namespace {

using memory::Component;
using memory::ComponentScope;
using ops::DoubleQuant;
using ops::FrozenWeight;
using ops::Nf4Tensors;

// Elements read at a time; a multiple of the NF4 block, so that pieces quantise alone.
constexpr int64_t kPiece = int64_t{1} << 20;
static_assert(kPiece % kernels::kNf4Block == 0);

c10::ScalarType scalar_type(format::DType dtype, const std::string& name) {
  switch (dtype) {
    case format::DType::kF32:
      return c10::kFloat;
    case format::DType::kBF16:
      return c10::kBFloat16;
    case format::DType::kF16:
      return c10::kHalf;
    default:
      throw Error(ExitCode::kConfig, {.what = "a weight has a dtype that is not supported",
                                      .got = std::string(format::name_of(dtype)),
                                      .expected = "F32, BF16 or F16",
                                      .where = name});
  }
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

// Calls f(first element, piece [count] in the file's dtype) for a tensor piece by piece.
template <typename F>
void for_each_piece(const format::ModelFolder& folder, const std::string& name, F&& f) {
  const format::TensorInfo& info = folder.info(name);
  const int64_t count = info.num_elements();
  const ComponentScope scope(Component::kWorkspace);
  const at::Tensor buffer = at::empty({std::min(kPiece, count)},
                                      at::TensorOptions().dtype(scalar_type(info.dtype, name)));
  const auto element = static_cast<int64_t>(buffer.element_size());
  for (int64_t first = 0; first < count; first += kPiece) {
    const at::Tensor piece = buffer.narrow(0, 0, std::min(kPiece, count - first));
    folder.read(name, first * element, bytes_of(piece));
    f(first, piece);
  }
}

void read_whole(const format::ModelFolder& folder, const std::string& name, const at::Tensor& out) {
  if (out.is_cpu()) {
    folder.read(name, 0, bytes_of(out));
    return;
  }
  const ComponentScope scope(Component::kWorkspace);
  const at::Tensor host = at::empty(out.sizes(), at::TensorOptions().dtype(out.scalar_type()));
  folder.read(name, 0, bytes_of(host));
  out.copy_(host);
}

}  // namespace

WeightReader::WeightReader(const format::ModelFolder* folder, WeightReaderOptions options)
    : folder_(folder), options_(options) {
  TORCH_INTERNAL_ASSERT(folder != nullptr || options.device.is_meta());
}

at::Tensor WeightReader::dense(const std::string& name, at::IntArrayRef shape) const {
  const ComponentScope scope(Component::kBaseWeights);
  at::Tensor out = at::empty(shape, at::TensorOptions(options_.device).dtype(options_.compute));
  read_into(name, out);
  return out;
}

void WeightReader::read_into(const std::string& name, at::Tensor& out) const {
  if (out.is_meta()) return;
  at::Tensor flat = out.view({-1});
  for_each_piece(*folder_, name, [&](int64_t first, const at::Tensor& piece) {
    flat.narrow(0, first, piece.numel()).copy_(piece);
  });
}

FrozenWeight WeightReader::quantized(const std::string& name, int64_t out_features,
                                     int64_t in_features) const {
  const ComponentScope scope(Component::kBaseWeights);
  const int64_t num_elements = out_features * in_features;
  const DoubleQuant double_quant =
      options_.format == BaseFormat::kNf4DoubleQuant ? DoubleQuant::kOn : DoubleQuant::kOff;
  if (options_.device.is_meta()) {
    return FrozenWeight::from_nf4(
        FrozenWeight::allocate_nf4(num_elements, double_quant, options_.device), out_features,
        in_features);
  }
  const auto stored = folder_->nf4_weights().find(name);
  const bool is_stored = stored != folder_->nf4_weights().end();
  if (folder_->config().bnb && !is_stored) {
    // The checkpoint's maker left this one out of the quantisation (llm_int8_skip_modules).
    return FrozenWeight::from_dense(dense(name, {out_features, in_features}));
  }
  Nf4Tensors tensors = is_stored ? read_bnb(stored->second) : quantize_pieces(name, num_elements);
  return FrozenWeight::from_nf4(std::move(tensors), out_features, in_features);
}

Nf4Tensors WeightReader::read_bnb(const format::BnbNf4Weight& weight) const {
  Nf4Tensors tensors = FrozenWeight::allocate_nf4(
      weight.num_elements(), weight.double_quant ? DoubleQuant::kOn : DoubleQuant::kOff,
      options_.device);
  read_whole(*folder_, weight.packed, tensors.codes);
  if (!weight.double_quant) {
    read_whole(*folder_, weight.absmax, tensors.absmax);
    return tensors;
  }
  read_whole(*folder_, weight.absmax, tensors.absmax_codes);
  read_whole(*folder_, weight.nested_absmax, tensors.nested_absmax);
  read_whole(*folder_, weight.nested_quant_map, tensors.nested_map);
  tensors.nested_offset = weight.offset;
  return tensors;
}

Nf4Tensors WeightReader::quantize_pieces(const std::string& name, int64_t num_elements) const {
  ops::Nf4Quantizer quantizer(
      num_elements,
      options_.format == BaseFormat::kNf4DoubleQuant ? DoubleQuant::kOn : DoubleQuant::kOff,
      options_.device);
  for_each_piece(*folder_, name, [&](int64_t first, const at::Tensor& piece) {
    const auto dtype = piece.scalar_type() == c10::kHalf ? c10::kFloat : piece.scalar_type();
    quantizer.add(first, piece.to(options_.device, dtype));
  });
  return quantizer.finish();
}

}  // namespace rung::model
