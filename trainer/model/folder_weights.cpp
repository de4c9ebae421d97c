#include "model/folder_weights.h"

#include <ATen/ops/empty.h>

#include <span>

#include "base/error.h"
#include "memory/counter.h"

namespace rung::model {
namespace {

using memory::Component;
using memory::ComponentScope;
using ops::DoubleQuant;
using ops::FrozenWeight;
using ops::Nf4Tensors;

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

Stored FolderWeights::stored(const std::string& name) const {
  if (folder_.nf4_weights().contains(name)) return Stored::kNf4;
  // The checkpoint's maker left this one out of the quantisation (llm_int8_skip_modules).
  return folder_.config().bnb ? Stored::kKeptDense : Stored::kPlain;
}

c10::ScalarType FolderWeights::dtype(const std::string& name) const {
  return scalar_type(folder_.info(name).dtype, name);
}

void FolderWeights::read(const std::string& name, int64_t first, at::Tensor& piece) const {
  folder_.read(name, first * static_cast<int64_t>(piece.element_size()), bytes_of(piece));
}

Nf4Tensors FolderWeights::read_nf4(const std::string& name, c10::Device device) const {
  const format::BnbNf4Weight& weight = folder_.nf4_weights().at(name);
  Nf4Tensors tensors = FrozenWeight::allocate_nf4(
      weight.num_elements(), weight.double_quant ? DoubleQuant::kOn : DoubleQuant::kOff, device);
  read_whole(folder_, weight.packed, tensors.codes);
  if (!weight.double_quant) {
    read_whole(folder_, weight.absmax, tensors.absmax);
    return tensors;
  }
  read_whole(folder_, weight.absmax, tensors.absmax_codes);
  read_whole(folder_, weight.nested_absmax, tensors.nested_absmax);
  read_whole(folder_, weight.nested_quant_map, tensors.nested_map);
  tensors.nested_offset = weight.offset;
  return tensors;
}

}  // namespace rung::model
