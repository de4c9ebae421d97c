// A frozen matrix [out, in]: dense in the compute dtype, or NF4 with single or double quantisation.
#pragma once

#include <ATen/core/Tensor.h>

#include "kernels/nf4.h"

namespace rung::ops {

// The tensors behind kernels::Nf4View.
struct Nf4Tensors {
  at::Tensor codes;          // uint8 [ceil(out * in / 2)]
  at::Tensor absmax;         // fp32 [blocks]; undefined with double quantisation
  at::Tensor absmax_codes;   // uint8 [blocks], double quantisation
  at::Tensor nested_absmax;  // fp32 [ceil(blocks / 256)], double quantisation
  at::Tensor nested_map;     // fp32 [256], double quantisation
  float nested_offset = 0.0f;
};

enum class DoubleQuant { kOff, kOn };

// What kernels read of `tensors`, which hold num_elements values.
kernels::Nf4View view_of(const Nf4Tensors& tensors, int64_t num_elements);

// Quantises a matrix that arrives piece by piece, so that it never exists whole.
class Nf4Quantizer {
 public:
  // Allocates the result, and with double quantisation the block scales, on `device`.
  Nf4Quantizer(int64_t num_elements, DoubleQuant double_quant, c10::Device device);

  // Elements first .. first + piece.numel() - 1 (fp32 or bf16, on the same device). Pieces may come
  // in any order; all but the last start and end at multiples of kNf4Block.
  void add(int64_t first, const at::Tensor& piece);
  // Once every piece is in.
  Nf4Tensors finish();

 private:
  DoubleQuant double_quant_;
  Nf4Tensors tensors_;
  at::Tensor absmax_;  // fp32 [blocks]
};

class FrozenWeight {
 public:
  FrozenWeight() = default;
  // dense: [out, in] in the compute dtype.
  static FrozenWeight from_dense(at::Tensor dense);
  static FrozenWeight from_nf4(Nf4Tensors tensors, int64_t out_features, int64_t in_features);
  // Unfilled NF4 tensors for a matrix of `num_elements` on `device`.
  static Nf4Tensors allocate_nf4(int64_t num_elements, DoubleQuant double_quant,
                                 c10::Device device);
  // Quantises source (fp32 or bf16, any shape) into freshly allocated tensors.
  static Nf4Tensors quantize(const at::Tensor& source, DoubleQuant double_quant);

  int64_t out_features() const { return out_features_; }
  int64_t in_features() const { return in_features_; }
  bool quantized() const { return nf4_.codes.defined(); }
  bool defined() const { return quantized() || dense_.defined(); }
  const Nf4Tensors& nf4() const { return nf4_; }
  const at::Tensor& dense() const { return dense_; }

  // Sets out [out, in] (contiguous) to the weight's value, rounded to its dtype.
  void write_to(at::Tensor& out) const;

 private:
  at::Tensor dense_;
  Nf4Tensors nf4_;
  int64_t out_features_ = 0;
  int64_t in_features_ = 0;
};

}  // namespace rung::ops
