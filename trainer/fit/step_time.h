// How long training takes under each setting of the ladder: what they are compared by.
//
//   products    step_flops() at the device's rate
//   weights     every pass over a block's frozen weights reads them, dequantised first (4.5 bits
//               read, 16 written, 16 read) or dense. A part of a micro-batch has a forward and a
//               backward pass; a recomputed block one more, whose dequantised weights the backward
//               pass shares where they are kept. In tiles an MLP has these three passes each tile.
//   head        two passes over the head's weights for every chunk of logits
//   launches    of a GPU's kernels by the host, beside the kernels: so only what takes longer than
//               these counts, which is so with small models and short batches
//   copies      inputs to the host and back, streamed blocks twice a part; beside the rest, so only
//               what takes longer than that counts, and a twentieth of it for sharing the memory
//
// A model of relations, not a promise: attention's and the small kernels' own traffic is the same
// under every setting and left out. What a device really reaches is measured by `rung bench`.
#pragma once

#include <c10/core/DeviceType.h>

#include <cstdint>

#include "fit/ladder.h"
#include "fit/step_flops.h"
#include "fit/step_memory.h"

namespace rung::fit {

struct DeviceRates {
  double flops_per_second = 0.0;    // of products, as training steps reach them
  double memory_bandwidth = 0.0;    // bytes a second
  double transfer_bandwidth = 0.0;  // bytes a second to and from the host
  // To launch a forward pass through a block; a backward pass takes two of them. 0: on a CPU.
  double launch_seconds = 0.0;
};

// Of a device of which nothing is known but its kind: a GPU of the class of an A100, a CPU of a few
// cores. Only relations count where settings are compared.
DeviceRates assumed_rates(c10::DeviceType device);

// The same relations at a measured rate of products.
DeviceRates rates_at(c10::DeviceType device, double flops_per_second);

// A step, or a whole run of them.
struct Work {
  const format::ModelConfig& config;
  const model::AdapterOptions& adapter;
  const model::ModelOptions& model;  // as it is loaded
  StepCounts counts;                 // of all its documents
  double micro_batches = 1.0;        // before any is split
};

Work work_of(const StepShape& shape);

// Seconds of `work` with every step under these settings.
double seconds_of(const Work& work, const StepSettings& settings, const DeviceRates& rates);

}  // namespace rung::fit
