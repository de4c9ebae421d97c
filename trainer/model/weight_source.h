// Where the values of a model's tensors come from: a model folder (folder_weights.h), or a
// generator for runs that only measure (random_weights.h).
//
// A source is asked for pieces, so that a matrix that is quantised never exists whole.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "ops/frozen_weight.h"

namespace rung::model {

// How a source holds a tensor.
enum class Stored {
  kPlain,      // element by element
  kNf4,        // as a bitsandbytes NF4 weight: only read_nf4 has it
  kKeptDense,  // element by element, and meant to stay so in a quantised model
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual Stored stored(const std::string&) const { return Stored::kPlain; }
  // Of the pieces of tensor `name`: kFloat, kBFloat16 or kHalf.
  virtual c10::ScalarType dtype(const std::string& name) const = 0;
  // Where pieces are filled.
  virtual c10::Device device() const { return c10::kCPU; }
  // Sets piece [count] (dtype, contiguous, on device()) to the elements of `name` from `first` on.
  virtual void read(const std::string& name, int64_t first, at::Tensor& piece) const = 0;
  // A tensor that is stored as kNf4, on `device`.
  virtual ops::Nf4Tensors read_nf4(const std::string& name, c10::Device device) const;
};

inline ops::Nf4Tensors WeightSource::read_nf4(const std::string& name, c10::Device) const {
  TORCH_INTERNAL_ASSERT(false, name, " is not stored as NF4");
}

}  // namespace rung::model
