#include "model/weight_reader.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>

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

// Calls f(first element, piece [count] in the source's dtype) for the `count` elements of a tensor
// piece by piece.
template <typename F>
void for_each_piece(const WeightSource& source, const std::string& name, int64_t count, F&& f) {
  const ComponentScope scope(Component::kWorkspace);
  const at::Tensor buffer = at::empty({std::min(kPiece, count)},
                                      at::TensorOptions(source.device()).dtype(source.dtype(name)));
  for (int64_t first = 0; first < count; first += kPiece) {
    at::Tensor piece = buffer.narrow(0, 0, std::min(kPiece, count - first));
    source.read(name, first, piece);
    f(first, piece);
  }
}

}  // namespace

WeightReader::WeightReader(std::unique_ptr<const WeightSource> source, WeightReaderOptions options)
    : source_(std::move(source)), options_(options) {
  TORCH_INTERNAL_ASSERT(source_ != nullptr || options.device.is_meta());
}

DoubleQuant WeightReader::double_quant() const {
  return options_.format == BaseFormat::kNf4DoubleQuant ? DoubleQuant::kOn : DoubleQuant::kOff;
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
  for_each_piece(*source_, name, flat.numel(), [&](int64_t first, const at::Tensor& piece) {
    flat.narrow(0, first, piece.numel()).copy_(piece);
  });
}

FrozenWeight WeightReader::quantized(const std::string& name, int64_t out_features,
                                     int64_t in_features) const {
  const ComponentScope scope(Component::kBaseWeights);
  const int64_t num_elements = out_features * in_features;
  if (options_.device.is_meta()) {
    return FrozenWeight::from_nf4(
        FrozenWeight::allocate_nf4(num_elements, double_quant(), options_.device), out_features,
        in_features);
  }
  const Stored stored = source_->stored(name);
  if (stored == Stored::kKeptDense) {
    return FrozenWeight::from_dense(dense(name, {out_features, in_features}));
  }
  Nf4Tensors tensors = stored == Stored::kNf4 ? source_->read_nf4(name, options_.device)
                                              : quantize_pieces(name, num_elements);
  return FrozenWeight::from_nf4(std::move(tensors), out_features, in_features);
}

Nf4Tensors WeightReader::quantize_pieces(const std::string& name, int64_t num_elements) const {
  ops::Nf4Quantizer quantizer(num_elements, double_quant(), options_.device);
  for_each_piece(*source_, name, num_elements, [&](int64_t first, const at::Tensor& piece) {
    const auto dtype = piece.scalar_type() == c10::kHalf ? c10::kFloat : piece.scalar_type();
    quantizer.add(first, piece.to(options_.device, dtype));
  });
  return quantizer.finish();
}

}  // namespace rung::model
