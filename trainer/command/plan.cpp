#include "command/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/config.h"
#include "base/console.h"
#include "base/cores.h"
#include "base/data_file.h"
#include "base/error.h"
#include "base/json.h"
#include "base/nvml.h"
#include "base/units.h"
#include "command/command_line.h"
#include "ops/device.h"
#include "training/bench_cache.h"
#include "training/gpu_limit.h"
#include "training/plan_inputs.h"
#include "training/plan_report.h"

namespace rung::command {
namespace {

// What `rung bench --json` has printed on this device.
double benched_speed(const std::filesystem::path& file, const std::string& device) {
  const Json json = read_json_file(file);
  if (json.value("device", device) != device) {
    throw Error(ExitCode::kConfig, {.what = "the bench was made on another device",
                                    .got = json.value("device", ""),
                                    .expected = device,
                                    .where = file.string()});
  }
  if (const std::optional<double> speed = training::speed_in(json)) return *speed;
  throw Error(ExitCode::kConfig, {.what = "there is no figure in the file",
                                  .expected = "what rung bench --json prints",
                                  .where = file.string()});
}

cxxopts::Options make_parser() {
  cxxopts::Options parser(
      "rung plan",
      "What a run will take, before it is started: memory by phase and component, what it would\n"
      "take on each rung of the ladder, and on other GPUs. Loads no weights, needs no GPU. Data\n"
      "that were counted before are not tokenised again.\n\n"
      "Examples:\n"
      "  rung plan configs/demo.yaml\n"
      "  rung plan configs/demo.yaml --gpu rtx-4090\n"
      "  rung plan configs/demo.yaml --all-gpus --json\n"
      "  rung bench configs/demo.yaml; rung plan configs/demo.yaml      with times\n");
  parser.positional_help("CONFIG");
  parser.add_options()("config", "the YAML of the run", cxxopts::value<std::string>())(
      "gpu", "plan for a GPU of the table in place of this machine", cxxopts::value<std::string>(),
      "NAME")("all-gpus", "compare all GPUs of the table")(
      "gpus", "table of GPUs instead of the one that comes with rung",
      cxxopts::value<std::string>(),
      "FILE")("bench", "times from what `rung bench --json` printed", cxxopts::value<std::string>(),
              "FILE")("json", "print one JSON object")(
      "set", "override a key of the configuration; may be repeated",
      cxxopts::value<std::vector<std::string>>(), "KEY=VALUE");
  parser.parse_positional({"config"});
  return parser;
}

bool wants_gpus(const cxxopts::ParseResult& parsed) {
  return parsed.count("gpu") + parsed.count("all-gpus") > 0;
}

void check_combination(const cxxopts::ParseResult& parsed) {
  if (parsed.count("gpu") > 0 && parsed.count("all-gpus") > 0) {
    throw Error(ExitCode::kUsage, {.what = "--gpu and --all-gpus exclude each other"});
  }
  if (parsed.count("bench") > 0 && wants_gpus(parsed)) {
    throw Error(ExitCode::kUsage,
                {.what = "--bench has the speed of this machine, not of another GPU",
                 .hint = "leave out one of the two"});
  }
  if (parsed.count("gpus") > 0 && !wants_gpus(parsed)) {
    throw Error(ExitCode::kUsage, {.what = "--gpus names a table of GPUs, but none is asked for",
                                   .hint = "add --gpu NAME or --all-gpus"});
  }
}

std::vector<fit::Gpu> known_gpus(const cxxopts::ParseResult& parsed) {
  if (parsed.count("gpus") > 0) return fit::read_gpus(parsed["gpus"].as<std::string>());
  return fit::read_gpus(find_data_file("gpus.yaml"));
}

// Where the run is planned for: this machine, or a GPU of the table.
struct Place {
  std::string name;
  c10::DeviceType type = c10::kCPU;
  int64_t limit = 0;  // bytes for tensors
  int64_t num_multiprocessors = 0;
  int64_t architecture = 0;
  int64_t host_limit = 0;                // bytes; 0: not known
  std::optional<fit::Gpu> of_the_table;  // not this machine, which can be measured
};

Place this_machine(RunConfig& config) {
  const training::Machine machine = training::open_machine(config);
  config = training::with_device(config, machine);
  return {.name = machine.device.name(),
          .type = machine.device.torch_device().type(),
          .limit = machine.tensor_limit(),
          .num_multiprocessors = machine.device.num_multiprocessors(),
          .architecture = machine.device.architecture(),
          .host_limit = machine.host_limit()};
}

// Whether a GPU is asked for and there is none that could be used: no plugin, no driver or no GPU.
bool lacks_gpu(const RunConfig& config) {
  return config.device.starts_with("cuda") && (!ops::find_cuda_plugin() || Nvml().num_gpus() == 0);
}

// A GPU that is not here needs not be the end: it can be planned for.
Place this_machine_or_hint(RunConfig& config) {
  try {
    return this_machine(config);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kConfig || !lacks_gpu(config)) throw;
    ErrorParts parts = error.parts();
    if (!parts.hint.empty()) parts.hint += "; ";
    parts.hint += "--gpu NAME or --all-gpus plans for a GPU that is not here";
    throw Error(error.code(), std::move(parts));
  }
}

Place place_on(const fit::Gpu& gpu, const RunConfig& config) {
  return {.name = gpu.name,
          .type = c10::kCUDA,
          .limit = training::tensor_limit_on(gpu, config),
          .num_multiprocessors = gpu.num_multiprocessors,
          .architecture = gpu.architecture,
          .of_the_table = gpu};
}

// With --all-gpus nothing is asked of this machine, which may have no GPU and less memory than the
// limit: its CPU stands in front of the table.
RunConfig for_the_table(RunConfig config) {
  config.device = "cpu";
  config.memory_limit = 0;
  return config;
}

Place place_of(const cxxopts::ParseResult& parsed, RunConfig& config,
               const std::vector<fit::Gpu>& gpus) {
  if (parsed.count("gpu") > 0) {
    const Place place = place_on(fit::find_gpu(gpus, parsed["gpu"].as<std::string>()), config);
    config.device = "cpu";  // what computes the plan
    return place;
  }
  if (parsed.count("all-gpus") > 0) {
    RunConfig open = for_the_table(config);
    const Place place = this_machine(open);
    config.device = open.device;
    return place;
  }
  return this_machine_or_hint(config);
}

struct Times {
  std::optional<fit::DeviceRates> rates;
  std::string source;  // or how to get them: a line
};

// From --bench, else from what rung bench has measured here.
Times times_on(const Place& place, const cxxopts::ParseResult& parsed, const RunConfig& config,
               const format::ModelConfig& model) {
  const model::ModelOptions options = training::model_options(config, model, place.type);
  if (place.of_the_table) {
    return {training::rates_on(*place.of_the_table, options.compute),
            options.compute == c10::kFloat
                ? "none; the table has no rate of products in fp32"
                : fmt::format("nothing measured: {:.0f} % of the rated products",
                              100 * training::kAssumedShare)};
  }
  if (parsed.count("bench") > 0) {
    const auto file = parsed["bench"].as<std::string>();
    return {fit::rates_at(place.type, benched_speed(file, place.name)), "from " + one_line(file)};
  }
  const std::optional<training::BenchedSpeed> speed = training::remembered_speed(
      UserCache(training::kBenchCache),
      {.device = place.name,
       .num_threads = config.num_threads > 0 ? config.num_threads : available_cores(),
       .model = model,
       .base = options.base,
       .compute = options.compute});
  if (speed) {
    return {fit::rates_at(place.type, speed->flops_per_second),
            fmt::format("from rung bench of {}, steps of {}", one_line(speed->day),
                        format_counted(speed->step_tokens, "token"))};
  }
  return {std::nullopt, "none; measure them here with `rung bench CONFIG`"};
}

}  // namespace

int run_plan(int argc, char** argv) {
  cxxopts::Options parser = make_parser();
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);
  check_combination(*parsed);
  const LoadedConfig loaded =
      load_run_config(required(*parsed, "config", "plan"), repeated(*parsed, "set"));
  print_notes(loaded.notes);
  const std::vector<fit::Gpu> gpus =
      wants_gpus(*parsed) ? known_gpus(*parsed) : std::vector<fit::Gpu>();

  RunConfig config = training::with_starting_adapter(loaded.config, loaded.explicit_keys);
  const Place place = place_of(*parsed, config, gpus);
  const training::PlannedModel model = training::read_planned_model(config);
  if (model.note) print_notes({*model.note});
  const data::RunSizes sizes =
      training::load_sizes(config, model.config, UserCache(training::kSizesCache), std::cerr);
  const training::AdapterPlan adapter = training::plan_adapter(config, model.config);
  const Times times = times_on(place, *parsed, config, model.config);
  const training::PlanReport report = training::make_plan_report(
      {.plan = {.config = config,
                .model = model.config,
                .adapter = adapter.options,
                .examples = sizes.train,
                .validation = sizes.validation,
                .memory_limit = place.limit,
                .device = place.type,
                .num_multiprocessors = place.num_multiprocessors,
                .architecture = place.architecture,
                .host_limit = place.host_limit,
                .rates = times.rates},
       .device = place.name,
       .data = sizes.report,
       .gpus = parsed->count("all-gpus") > 0 ? gpus : std::vector<fit::Gpu>(),
       .times = times.source});
  print(parsed->count("json") > 0 ? training::plan_json(report).dump() + "\n"
                                  : training::plan_text(report));
  const bool fits = report.gpus.empty()
                        ? report.fits
                        : std::ranges::any_of(report.gpus, &training::PlannedGpu::fits);
  return static_cast<int>(fits ? ExitCode::kOk : ExitCode::kDoesNotFit);
}

}  // namespace rung::command
