// A tiny model with an adapter and an optimizer, ready for steps.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/transformer.h"
#include "step/optimizer.h"
#include "tests/support/tensors.h"
#include "tests/support/tiny_transformer.h"

namespace rung::testing {

enum class StartB { kZero, kRandom };

struct TinyRunOptions {
  c10::ScalarType compute = c10::kFloat;
  model::BaseFormat base = model::BaseFormat::kDense;
  double dropout = 0.0;
  StartB b = StartB::kRandom;  // kZero: as a fresh adapter has it
};

struct TinyRun {
  model::Transformer model;
  step::Optimizer optimizer;

  TinyRun(const TinyFolder& folder, const TinyRunOptions& options)
      : model(make_model(folder, options)), optimizer(model.adapter().parameters(), {}) {}

  const at::Tensor& parameters() const { return model.adapter().parameters(); }
  const at::Tensor& gradients() const { return model.adapter().gradients(); }

 private:
  static model::Transformer make_model(const TinyFolder& folder, const TinyRunOptions& options) {
    model::Transformer model(
        folder.config(), &folder.folder(),
        {.compute = options.compute, .base = options.base, .max_positions = 128});
    model.add_adapter(
        {.r = 4, .scaling = 2.0, .dropout = options.dropout, .modules = model.linear_modules()});
    model.adapter().initialize(InitLora::kKaiming, 5);
    if (options.b == StartB::kRandom) {
      at::Tensor flat = model.adapter().parameters();
      flat.add_(random_tensor(flat.sizes(), 6, c10::kFloat, 0.05));
    }
    return model;
  }
};

}  // namespace rung::testing
