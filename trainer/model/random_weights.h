// Random weights for runs that only measure: matrices and biases N(0, 0.02^2), as models are
// initialised, norms N(1, 0.02^2).
//
// A tensor is a function of (seed, name). On a CPU an element is one of (seed, name, index) alone,
// nearly normal (base/random.h): the time of a step does not depend on such values, but must not be
// taken on zeros, which processors multiply with less power and so at a higher clock. On a GPU
// ATen's generator fills a whole piece at once, seeded by (seed, name, first element), and the
// values are others than on a CPU.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "model/weight_source.h"

namespace rung::model {

class RandomWeights final : public WeightSource {
 public:
  // device: the one that the model will be on.
  RandomWeights(uint64_t seed, c10::Device device) : seed_(seed), device_(device) {}

  c10::ScalarType dtype(const std::string& name) const override;
  c10::Device device() const override { return device_; }
  void read(const std::string& name, int64_t first, at::Tensor& piece) const override;

 private:
  uint64_t seed_;
  c10::Device device_;
};

// Sets piece (fp32, contiguous, on any device) to N(mean, deviation^2) from a generator of its
// device, seeded by `key`.
void fill_by_generator(at::Tensor& piece, const Spread& spread, uint64_t key);

}  // namespace rung::model
