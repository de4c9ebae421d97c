#include "command/bench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iostream>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/data_file.h"
#include "base/error.h"
#include "command/command_line.h"
#include "format/shape_file.h"
#include "training/bench_cache.h"
#include "training/bench_report.h"

namespace rung::command {
namespace {

// What a shape is measured with where there is no CONFIG; --set may say otherwise.
const std::vector<std::string> kDefaults = {"lora_r=16", "lora_alpha=16", "micro_batch_size=2",
                                            "sequence_len=2048", "sample_packing=true"};

cxxopts::Options make_parser() {
  cxxopts::Options parser(
      "rung bench",
      "Times training steps on random tokens: tokens a second, memory, and the share of the\n"
      "device's matrix multiplication that is reached. With --shape the weights are random; with\n"
      "a CONFIG alone its base_model is read. Without a CONFIG: NF4, r 16 on all linears, 2 x "
      "2048\n"
      "tokens, and the memory that is free.\n\n"
      "Examples:\n"
      "  rung bench --shape smollm2-135m\n"
      "  rung bench --shape llama-3.1-8b --set memory_limit=24GiB --json\n"
      "  rung bench --shape tiny --set sequence_len=64 --steps 3\n"
      "  rung bench configs/demo.yaml\n");
  parser.positional_help("[CONFIG]");
  parser.add_options()("config", "the YAML of a run", cxxopts::value<std::string>())(
      "shape", "a model's shape by name, with random weights", cxxopts::value<std::string>(),
      "NAME")("shapes", "file of shapes instead of the one that comes with rung",
              cxxopts::value<std::string>(),
              "FILE")("set", "override a key of the configuration; may be repeated",
                      cxxopts::value<std::vector<std::string>>(), "KEY=VALUE")(
      "steps", "timed steps; 0: as many as take about 20 seconds, 3 to 20",
      cxxopts::value<int64_t>()->default_value("0"), "N")("json", "print one JSON object");
  parser.parse_positional({"config"});
  return parser;
}

int64_t num_steps(const cxxopts::ParseResult& parsed) {
  constexpr int64_t kMost = 100000;
  const auto steps = parsed["steps"].as<int64_t>();
  if (steps < 0 || steps > kMost) {
    throw Error(ExitCode::kUsage, {.what = "--steps is out of range",
                                   .got = std::to_string(steps),
                                   .expected = fmt::format("0..{}", kMost)});
  }
  return steps;
}

std::vector<format::NamedShape> known_shapes(const cxxopts::ParseResult& parsed) {
  if (parsed.count("shapes") > 0) return format::read_shapes(parsed["shapes"].as<std::string>());
  return format::read_shapes(find_data_file("shapes.yaml"));
}

training::BenchRequest request_of(const cxxopts::ParseResult& parsed) {
  training::BenchRequest request;
  request.num_steps = num_steps(parsed);
  if (parsed.count("config") + parsed.count("shape") == 0) {
    throw Error(ExitCode::kUsage, {.what = "neither a CONFIG nor a --shape says what to measure",
                                   .hint = "see `rung bench --help`"});
  }
  if (parsed.count("shape") > 0) {
    request.shape = format::find_shape(known_shapes(parsed), parsed["shape"].as<std::string>());
  }
  std::vector<std::string> overrides = repeated(parsed, "set");
  const bool has_config = parsed.count("config") > 0;
  if (!has_config) overrides.insert(overrides.begin(), kDefaults.begin(), kDefaults.end());
  LoadedConfig loaded = has_config ? load_run_config(parsed["config"].as<std::string>(), overrides)
                                   : default_run_config(overrides);
  print_notes(loaded.notes);
  request.config = std::move(loaded.config);
  request.explicit_keys = std::move(loaded.explicit_keys);
  return request;
}

}  // namespace

int run_bench(int argc, char** argv) {
  cxxopts::Options parser = make_parser();
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);
  const training::BenchResult result = training::bench(request_of(*parsed), std::cerr);
  training::remember_bench(UserCache(training::kBenchCache), result);
  if (parsed->count("json") > 0) {
    print(training::bench_json(result).dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    print(training::bench_text(result));
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
