#include "command/eval.h"

#include <fmt/format.h>

#include "base/config.h"
#include "base/error.h"
#include "base/json.h"
#include "command/command_line.h"
#include "training/evaluation.h"
#include "training/setup.h"

namespace rung::command {
namespace {

std::vector<data::Example> evaluation_examples(const RunConfig& config,
                                               const training::BaseModel& base) {
  data::RunData data = data::load_run_data(config, base.tokenizer,
                                           base.chat_template ? &*base.chat_template : nullptr,
                                           base.folder.config().vocab_size);
  if (data.validation.examples.empty()) {
    throw Error(ExitCode::kConfig, {.what = "there is nothing to evaluate on",
                                    .hint = "set test_datasets or val_set_size"});
  }
  return std::move(data.validation.examples);
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
  const RunConfig& config = loaded.config;
  training::apply_machine_settings(config);
  const training::BaseModel base = training::open_base_model(config);
  const std::vector<data::Example> examples = evaluation_examples(config, base);
  model::Transformer model(base.folder.config(), &base.folder,
                           training::model_options(config, base.folder.config()));
  if (parsed->count("adapter") > 0) {
    training::attach_saved_adapter(model,
                                   format::read_adapter((*parsed)["adapter"].as<std::string>()));
  }
  training::use_resident_weights(model);
  const int64_t batch_size =
      config.eval_batch_size > 0 ? config.eval_batch_size : config.micro_batch_size;
  const training::Evaluation result = training::evaluate(model, examples, batch_size);
  if (parsed->count("json") > 0) {
    const Json json = {
        {"loss", result.loss}, {"perplexity", result.perplexity}, {"tokens", result.tokens}};
    print(json.dump() + "\n");
  } else {
    print(fmt::format("loss {:.4f}, perplexity {:.3f} over {} tokens\n", result.loss,
                      result.perplexity, result.tokens));
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
