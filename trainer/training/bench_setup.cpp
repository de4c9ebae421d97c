#include "training/bench_setup.h"

#include <filesystem>
#include <memory>

#include "base/random.h"
#include "model/folder_weights.h"
#include "model/random_weights.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;

std::vector<data::Example> random_documents(const RunConfig& config, int64_t vocab_size) {
  const int64_t count = config.micro_batch_size * config.gradient_accumulation_steps;
  std::vector<data::Example> documents(static_cast<size_t>(count));
  for (size_t i = 0; i < documents.size(); ++i) {
    const CounterRandom random(config.seed, i);
    for (int64_t at = 0; at < config.sequence_len; ++at) {
      documents[i].input_ids.push_back(static_cast<int32_t>(
          random.below(static_cast<uint64_t>(at), static_cast<uint64_t>(vocab_size))));
    }
    documents[i].labels = documents[i].input_ids;
  }
  return documents;
}

// The last part of the path, which may end in a slash.
std::string folder_name(const std::string& base_model) {
  const fs::path path = fs::path(base_model).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::unique_ptr<const model::WeightSource> weights_of(const BenchSetup& setup) {
  if (setup.folder) return std::make_unique<model::FolderWeights>(*setup.folder);
  return std::make_unique<model::RandomWeights>(setup.config.seed, device_of(setup.config));
}

}  // namespace

BenchSetup set_up_bench(const BenchRequest& request) {
  const RunConfig wanted = with_starting_adapter(request.config, request.explicit_keys);
  const Machine machine = open_machine(wanted);
  BenchSetup setup{.machine = machine, .config = with_device(wanted, machine)};
  if (request.shape) {
    setup.model_name = request.shape->name;
    setup.model = request.shape->config;
  } else {
    setup.model_name = folder_name(setup.config.base_model);
    setup.folder.emplace(format::find_model_folder(setup.config.base_model));
    setup.model = setup.folder->config();
  }
  setup.examples = random_documents(setup.config, setup.model.vocab_size);
  setup.adapter = plan_adapter(setup.config, setup.model);
  setup.plan = plan_run({.config = setup.config,
                         .model = setup.model,
                         .adapter = setup.adapter.options,
                         .examples = setup.examples,
                         .validation = {},
                         .memory_limit = setup.machine.tensor_limit(),
                         .device = device_of(setup.config).type(),
                         .num_multiprocessors = setup.machine.device.num_multiprocessors(),
                         .architecture = setup.machine.device.architecture(),
                         .host_limit = setup.machine.host_limit()});
  return setup;
}

model::Transformer load_bench_model(const BenchSetup& setup) {
  model::Transformer model(setup.model, weights_of(setup), setup.plan.model);
  attach_adapter(model, setup.adapter, setup.config);
  return model;
}

}  // namespace rung::training
