#include "fit/step_time.h"

#include <algorithm>
#include <cmath>

namespace rung::fit {
namespace {

constexpr double kQuantizedBytes = 0.56 + 2.0 + 2.0;  // 4 bits and a scale; 16 out and in again
constexpr double kStoredBytes = 0.56;
constexpr double kSharedMemory = 0.05;  // of a copy's time, which slows what runs beside it

// Frozen weights of a block's linears.
struct BlockWeights {
  double all = 0.0;
  double mlp = 0.0;
};

BlockWeights weights_of(const format::ModelConfig& model) {
  const auto hidden = static_cast<double>(model.hidden_size);
  const auto queries = static_cast<double>(model.num_heads * model.head_dim);
  const auto keys = static_cast<double>(model.num_kv_heads * model.head_dim);
  const double mlp = 3.0 * hidden * static_cast<double>(model.intermediate_size);
  return {.all = 2.0 * hidden * (queries + keys) + mlp, .mlp = mlp};
}

class Cost {
 public:
  Cost(const Work& work, const StepSettings& settings)
      : work_(work),
        memory_(settings.memory),
        weights_(weights_of(work.config)),
        parts_(work.micro_batches * static_cast<double>(settings.split)),
        blocks_(static_cast<double>(work.config.num_layers)),
        recomputed_(static_cast<double>(memory_.num_recomputed)) {}

  double flops() const {
    return step_flops(work_.config, work_.adapter, work_.counts, memory_.num_recomputed).total();
  }

  double memory_bytes() const { return weight_bytes() + tile_bytes() + head_bytes(); }

  // Forward passes through a block that take as long to launch.
  double launched_passes() const { return parts_ * (3.0 * blocks_ + recomputed_); }

  // Both ways.
  double copied_bytes() const {
    double bytes =
        2.0 * parts_ * static_cast<double>(work_.model.num_streamed) * weights_.all * kStoredBytes;
    if (memory_.checkpoints == model::Checkpoints::kOnHost) {
      bytes += 2.0 * recomputed_ * work_.counts.tokens * hidden() * value_bytes();
    }
    return bytes;
  }

 private:
  bool is_quantized() const { return work_.model.base != model::BaseFormat::kDense; }
  double value_bytes() const { return static_cast<double>(c10::elementSize(work_.model.compute)); }
  double hidden() const { return static_cast<double>(work_.config.hidden_size); }

  // Frozen weights that are read in one pass, with what it takes to dequantise them.
  double pass(double weights) const {
    return weights * (is_quantized() ? kQuantizedBytes : value_bytes());
  }
  // In a pass of a recomputed block: shared, it only reads what was dequantised before.
  double pass_again(double weights) const {
    const bool is_shared = memory_.dequantisation == model::Dequantisation::kOnceABlock;
    return is_shared ? weights * value_bytes() : pass(weights);
  }

  double weight_bytes() const {
    return parts_ * (2.0 * blocks_ * pass(weights_.all) + recomputed_ * pass_again(weights_.all));
  }

  // Of the MLP's weights, for tiles beyond the first: forward, forward again and backward.
  double tile_bytes() const {
    if (memory_.mlp_tile == 0) return 0.0;
    const double tiles = std::max(
        1.0, std::ceil(work_.counts.tokens / parts_ / static_cast<double>(memory_.mlp_tile)));
    return parts_ * recomputed_ * (tiles - 1.0) *
           (pass(weights_.mlp) + 2.0 * pass_again(weights_.mlp));
  }

  double head_bytes() const {
    const auto vocab = static_cast<double>(work_.config.vocab_size);
    const double logits = work_.counts.supervised / parts_ * vocab * value_bytes();
    const double chunks =
        std::max(1.0, std::ceil(logits / static_cast<double>(memory_.head_chunk_bytes)));
    return parts_ * chunks * 2.0 * hidden() * vocab * value_bytes();
  }

  const Work& work_;
  const model::MemorySettings& memory_;
  BlockWeights weights_;
  double parts_;  // of all micro-batches
  double blocks_;
  double recomputed_;
};

}  // namespace

DeviceRates assumed_rates(c10::DeviceType device) {
  if (device == c10::kCUDA) {
    return {.flops_per_second = 140e12,
            .memory_bandwidth = 1.5e12,
            .transfer_bandwidth = 25e9,
            .launch_seconds = 0.55e-3};  // measured: docs/benchmarks/gpu.md
  }
  return {.flops_per_second = 200e9, .memory_bandwidth = 30e9, .transfer_bandwidth = 10e9};
}

DeviceRates rates_at(c10::DeviceType device, double flops_per_second) {
  DeviceRates rates = assumed_rates(device);
  const double faster = flops_per_second / rates.flops_per_second;
  rates.flops_per_second = flops_per_second;
  rates.memory_bandwidth *= faster;
  rates.transfer_bandwidth *= faster;
  return rates;
}

Work work_of(const StepShape& shape) {
  return {.config = shape.config,
          .adapter = shape.adapter,
          .model = shape.model,
          .counts = counts_of(shape.batch),
          .micro_batches = static_cast<double>(shape.batch.micro_batches.size())};
}

double seconds_of(const Work& work, const StepSettings& settings, const DeviceRates& rates) {
  const Cost cost(work, settings);
  const double computing =
      cost.flops() / rates.flops_per_second + cost.memory_bytes() / rates.memory_bandwidth;
  const double launching = cost.launched_passes() * rates.launch_seconds;
  const double copying = cost.copied_bytes() / rates.transfer_bandwidth;
  return std::max({computing, launching, copying}) + kSharedMemory * copying;
}

}  // namespace rung::fit
