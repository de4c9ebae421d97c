#include "command/eval.h"

#include <fmt/format.h>

#include <iostream>
#include <iterator>
#include <optional>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "base/waiting_line.h"
#include "command/command_line.h"
#include "training/evaluation.h"
#include "training/evaluation_plan.h"
#include "training/setup.h"

namespace rung::command {
namespace {

std::vector<data::Example> evaluation_examples(const RunConfig& config,
                                               const training::BaseModel& base) {
  data::LoadProgress progress(
      std::cerr,
      data::bytes_of(config.test_datasets.empty() ? config.datasets : config.test_datasets));
  data::Dataset validation =
      data::load_validation_data(training::encode_context(config, base), &progress);
  progress.finish();
  if (validation.examples.empty()) {
    throw Error(ExitCode::kConfig, {.what = "there is nothing to evaluate on",
                                    .hint = "set test_datasets or val_set_size"});
  }
  return std::move(validation.examples);
}

// Says on standard error how far it is, where it takes its time.
training::Evaluation evaluate_aloud(const model::Transformer& model,
                                    const std::vector<data::Example>& examples,
                                    const training::EvaluationPlan& plan) {
  WaitingLine line(std::cerr, waiting_line_options());
  const auto total = std::ssize(examples);
  const auto show = [&](int64_t done) {
    if (!line.is_due()) return;
    const double share = static_cast<double>(done) / static_cast<double>(total);
    line.show(fmt::format("eval      {} of {} done{}", format_count(done),
                          format_counted(total, "example"), share_text(share, line.seconds())));
  };
  fit::StepSettings settings{.memory = plan.memory};
  training::Evaluation result = training::evaluate(
      model, examples, {.batch_size = plan.batch_size, .on_progress = show}, settings);
  line.finish(fmt::format("eval      {} done in {}", format_counted(total, "example"),
                          format_duration(result.seconds)));
  return result;
}

// Loads the model and evaluates it, or it with `adapter`, in batches that fit into `limit` bytes.
training::Evaluation evaluate(const RunConfig& config, const training::BaseModel& base,
                              const std::optional<format::AdapterFolder>& adapter, int64_t limit) {
  const format::ModelConfig& model_config = base.folder.config();
  const std::vector<data::Example> examples = evaluation_examples(config, base);
  model::ModelOptions options = training::model_options(config, model_config);
  if (config.layer_offloading) options.num_streamed = model_config.num_layers;
  model::MemorySettings memory;
  if (config.tiled_mlp) memory.mlp_tile = training::mlp_tile(model_config);
  training::EvaluationRequest request{.config = config,
                                      .model = model_config,
                                      .options = options,
                                      .adapter = {},
                                      .examples = examples,
                                      .memory = memory,
                                      .limit = limit};
  if (adapter) request.adapter = training::saved_adapter_options(*adapter);
  const training::EvaluationPlan plan = training::plan_evaluation(request);
  if (const auto note = plan.note()) print_notes({*note});

  model::Transformer model(model_config, &base.folder, options);
  if (adapter) training::attach_saved_adapter(model, *adapter);
  // Instead of dequantising them in every batch, where that does not cost the batch its room.
  if (options.num_streamed == 0 && plan.peak + model.resident_bytes() <= limit) {
    model.make_weights_resident();
  }
  return evaluate_aloud(model, examples, plan);
}

}  // namespace

int run_eval(int argc, char** argv) {
  cxxopts::Options parser(
      "rung eval",
      "Loss and perplexity over test_datasets, else over the validation split.\n\n"
      "Examples:\n"
      "  rung eval configs/demo.yaml\n"
      "  rung eval configs/demo.yaml --adapter runs/demo --json\n");
  parser.positional_help("CONFIG");
  parser.add_options()("config", "the YAML of the run", cxxopts::value<std::string>())(
      "adapter", "adapter folder; without it the base model is evaluated",
      cxxopts::value<std::string>(), "DIR")("json", "print one JSON object")(
      "set", "override a key of the configuration; may be repeated",
      cxxopts::value<std::vector<std::string>>(), "KEY=VALUE");
  parser.parse_positional({"config"});
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);

  const LoadedConfig loaded =
      load_run_config(required(*parsed, "config", "eval"), repeated(*parsed, "set"));
  print_notes(loaded.notes);
  const training::Machine machine = training::open_machine(loaded.config);
  const RunConfig config = training::with_device(loaded.config, machine);
  const training::BaseModel base = training::open_base_model(config);
  if (const auto note = training::context_note(config, base.folder.config())) print_notes({*note});
  std::optional<format::AdapterFolder> adapter;
  if (parsed->count("adapter") > 0) {
    adapter = training::read_saved_adapter((*parsed)["adapter"].as<std::string>());
  }
  const training::Evaluation result = evaluate(config, base, adapter, machine.tensor_limit());
  if (parsed->count("json") > 0) {
    const Json json = {
        {"loss", result.loss}, {"perplexity", result.perplexity}, {"tokens", result.tokens}};
    print(json.dump() + "\n");
  } else {
    print(fmt::format("loss {:.4f}, perplexity {:.3f} over {}\n", result.loss, result.perplexity,
                      format_counted(result.tokens, "token")));
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
