// What a bench runs: model, random documents, adapter, plan. Nothing of the size of the weights is
// made yet.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/run_config.h"
#include "data/example.h"
#include "format/model_folder.h"
#include "format/shape_file.h"
#include "training/machine.h"
#include "training/run_plan.h"
#include "training/setup.h"

namespace rung::training {

struct BenchRequest {
  RunConfig config;                         // data sets and output_dir are not looked at
  std::set<std::string> explicit_keys;      // those the user set (base/config.h)
  std::optional<format::NamedShape> shape;  // none: the model folder of config.base_model
  int64_t num_steps = 0;                    // that are timed; 0: chosen by time
};

struct BenchSetup {
  Machine machine;
  RunConfig config;                           // resolved, with the device
  std::string model_name;                     // of the shape, or of the model's folder
  std::optional<format::ModelFolder> folder;  // none: random weights
  format::ModelConfig model;
  std::vector<data::Example> examples;  // of one optimizer step
  AdapterPlan adapter;
  RunPlan plan;
};

// Opens the device and plans as train() does. The data are documents of sequence_len random tokens,
// one a row, all of them learnt. Throws Error as the parts do, kDoesNotFit among them.
BenchSetup set_up_bench(const BenchRequest& request);

// Reads the weights, or makes them, and attaches the adapter.
model::Transformer load_bench_model(const BenchSetup& setup);

}  // namespace rung::training
