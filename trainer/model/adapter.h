// The trainable parameters: every LoRA pair of a model in one flat fp32 buffer, and their gradients
// in another.
//
// One buffer makes the optimizer one kernel, the gradient norm one reduction, and a checkpoint one
// read. Order: groups in the order of the model; in a group the A of its adapted members side by
// side (so that they can be one GEMM operand), then the B of each.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/run_config.h"
#include "format/adapter.h"
#include "ops/linear_group.h"

namespace rung::model {

struct AdapterOptions {
  int64_t r = 8;
  double scaling = 1.0;
  double dropout = 0.0;
  std::vector<std::string> modules;  // paths of the linears that get an adapter
};

// Where one linear's pair lies in the flat buffer.
struct AdapterSlot {
  std::string module;
  int64_t in_features = 0;
  int64_t out_features = 0;
  int64_t r = 0;
  int64_t offset_a = 0;  // elements; A is [r, in] row-major
  int64_t offset_b = 0;  // elements; B is [out, r] row-major
};

class Adapter {
 public:
  Adapter() = default;
  // Allocates both buffers on `device` (gradients zero, parameters unset) and points the groups'
  // members at them.
  Adapter(const std::vector<ops::LinearGroup*>& groups, const AdapterOptions& options,
          c10::Device device);

  // A as torch's kaiming_uniform_(a = sqrt(5)), that is U(-1/sqrt(in), 1/sqrt(in)), or N(0, 1/r); B
  // = 0 (PEFT's defaults). A function of seed and module path alone.
  void initialize(InitLora kind, uint64_t seed);
  // Copies the tensors of a saved adapter in. Throws Error kConfig naming the first module whose
  // shape differs or that is missing on either side.
  void assign(const format::AdapterFolder& saved);
  // The parameters as PEFT's tensors, in the order of the model.
  std::vector<format::AdapterTensor> tensors() const;
  // The same of the gradients.
  std::vector<format::AdapterTensor> gradient_tensors() const;

  bool defined() const { return parameters_.defined(); }
  const at::Tensor& parameters() const { return parameters_; }  // [n] fp32
  const at::Tensor& gradients() const { return gradients_; }    // [n] fp32
  const std::vector<AdapterSlot>& slots() const { return slots_; }

 private:
  std::vector<format::AdapterTensor> export_from(const at::Tensor& flat) const;

  at::Tensor parameters_;
  at::Tensor gradients_;
  std::vector<AdapterSlot> slots_;
};

}  // namespace rung::model
