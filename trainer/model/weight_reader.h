// Frozen weights from a source, without a second copy of any of them.
//
// A tensor is read piece by piece through a buffer of a few MiB into the place it stays in:
// converted to the compute dtype, or quantised to NF4 on the way. The peak of loading is the
// finished model plus that buffer. On the meta device tensors are allocated and nothing is read.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "model/weight_source.h"
#include "ops/frozen_weight.h"

namespace rung::model {

enum class BaseFormat { kDense, kNf4, kNf4DoubleQuant };

struct WeightReaderOptions {
  c10::ScalarType compute = c10::kFloat;  // dtype of dense weights
  BaseFormat format = BaseFormat::kDense;
  c10::Device device = c10::kCPU;
};

class WeightReader {
 public:
  // source: null on the meta device.
  WeightReader(std::unique_ptr<const WeightSource> source, WeightReaderOptions options);

  // The tensor `name` of this shape, in the compute dtype.
  at::Tensor dense(const std::string& name, at::IntArrayRef shape) const;
  // Fills `out` (compute dtype, contiguous) with the tensor `name`.
  void read_into(const std::string& name, at::Tensor& out) const;
  // A linear's weight [out, in] as NF4: quantised while it is read, or taken over from a
  // bitsandbytes checkpoint.
  ops::FrozenWeight quantized(const std::string& name, int64_t out_features,
                              int64_t in_features) const;

  const WeightReaderOptions& options() const { return options_; }

 private:
  ops::Nf4Tensors quantize_pieces(const std::string& name, int64_t num_elements) const;
  ops::DoubleQuant double_quant() const;

  std::unique_ptr<const WeightSource> source_;
  WeightReaderOptions options_;
};

}  // namespace rung::model
