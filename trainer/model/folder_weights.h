// The weights of a model folder, as safetensors or as a bitsandbytes NF4 checkpoint.
#pragma once

#include <string>

#include "format/model_folder.h"
#include "model/weight_source.h"

namespace rung::model {

class FolderWeights final : public WeightSource {
 public:
  // folder: outlives this.
  explicit FolderWeights(const format::ModelFolder& folder) : folder_(folder) {}

  Stored stored(const std::string& name) const override;
  c10::ScalarType dtype(const std::string& name) const override;
  void read(const std::string& name, int64_t first, at::Tensor& piece) const override;
  ops::Nf4Tensors read_nf4(const std::string& name, c10::Device device) const override;

 private:
  const format::ModelFolder& folder_;
};

}  // namespace rung::model
