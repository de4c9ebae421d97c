#include "command/data.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "command/command_line.h"
#include "data/dataset.h"
#include "data/preview.h"
#include "format/model_config.h"
#include "format/model_folder.h"
#include "training/setup.h"

namespace rung::command {
namespace {

enum class Output { kText, kJson };

struct View {
  Output output = Output::kText;
  std::optional<int64_t> show;  // examples; absent: 3, or all of them as JSON
};

std::optional<cxxopts::ParseResult> parse_options(int argc, char** argv) {
  cxxopts::Options parser("rung data",
                          "Shows what the model will see: text, ids, labels and counts.\n\n"
                          "Examples:\n"
                          "  rung data configs/demo.yaml\n"
                          "  rung data configs/demo.yaml --show 20 --set sequence_len=512\n"
                          "  rung data configs/demo.yaml --json > rows.jsonl\n");
  parser.positional_help("CONFIG");
  parser.add_options()("config", "the YAML of the run", cxxopts::value<std::string>())(
      "show", "examples to show (default: 3; with --json all)", cxxopts::value<int64_t>(), "N")(
      "json", "one JSON object a row, then a summary")(
      "set", "override a key of the configuration; may be repeated",
      cxxopts::value<std::vector<std::string>>(), "KEY=VALUE");
  parser.parse_positional({"config"});
  return parse_arguments(parser, argc, argv);
}

View read_view(const cxxopts::ParseResult& parsed) {
  View view;
  if (parsed.count("json") > 0) view.output = Output::kJson;
  if (parsed.count("show") == 0) return view;
  view.show = parsed["show"].as<int64_t>();
  if (*view.show < 0) {
    throw Error(ExitCode::kUsage, {.what = "--show is out of range",
                                   .got = std::to_string(*view.show),
                                   .expected = "a number of examples"});
  }
  return view;
}

void print_examples(const std::vector<data::Example>& examples, const text::Tokenizer& tokenizer,
                    const View& view) {
  const bool as_json = view.output == Output::kJson;
  const auto wanted = static_cast<size_t>(view.show.value_or(as_json ? INT64_MAX : 3));
  const data::Marks marks =
      ::isatty(STDOUT_FILENO) == 1 ? data::Marks::kColours : data::Marks::kBrackets;
  for (size_t i = 0; i < std::min(wanted, examples.size()); ++i) {
    if (as_json) {
      const Json row = data::row_json(static_cast<int64_t>(i), examples[i], tokenizer);
      print(row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    } else {
      print(data::show_example(examples[i], tokenizer, marks) + "\n");
    }
  }
}

data::Dataset load(const std::vector<DatasetConfig>& datasets, const data::EncodeContext& context) {
  data::LoadProgress progress(std::cerr, data::bytes_of(datasets));
  data::Dataset dataset = data::load_dataset(datasets, context, &progress);
  progress.finish();
  return dataset;
}

}  // namespace

int run_data(int argc, char** argv) {
  const auto parsed = parse_options(argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);
  const View view = read_view(*parsed);
  const LoadedConfig loaded =
      load_run_config(required(*parsed, "config", "data"), repeated(*parsed, "set"));
  print_notes(loaded.notes);
  const RunConfig& run = loaded.config;

  const std::filesystem::path model = format::find_model_folder(run.base_model);
  const format::ModelConfig model_config = format::read_model_config(model / "config.json");
  if (const auto note = training::context_note(run, model_config)) print_notes({*note});
  const text::Tokenizer tokenizer = text::Tokenizer::load(model);
  const auto chat_template = data::load_chat_template(run, model);
  const data::EncodeContext context{.run = run,
                                    .tokenizer = tokenizer,
                                    .chat_template = chat_template ? &*chat_template : nullptr,
                                    .vocab_size = model_config.vocab_size};

  data::Dataset train = load(run.datasets, context);
  print_examples(train.examples, tokenizer, view);

  data::DataSummary summary{.read = train.report,
                            .lengths = data::length_histogram(train.examples)};
  // Rows are shown as they are read; the split comes after.
  const data::Dataset validation = run.test_datasets.empty()
                                       ? data::split_validation(train, run.val_set_size, run.seed)
                                       : load(run.test_datasets, context);
  summary.num_train = static_cast<int64_t>(train.examples.size());
  summary.num_validation = static_cast<int64_t>(validation.examples.size());
  summary.batches = data::report_batches(train.examples, run);
  print(view.output == Output::kJson ? data::summary_json(summary, run).dump() + "\n"
                                     : data::show_summary(summary, run));
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
