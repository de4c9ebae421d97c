#include "command/data.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cxxopts.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "data/dataset.h"
#include "data/preview.h"
#include "format/model_config.h"
#include "format/model_folder.h"

namespace rung::command {
namespace {

enum class Output { kText, kJson };

struct DataOptions {
  std::string config;
  std::vector<std::string> overrides;
  int64_t show = 3;  // examples; all of them with --json where --show is not given
  bool show_given = false;
  Output output = Output::kText;
  std::string help;  // not empty: print it and stop
};

DataOptions parse_options(int argc, char** argv) {
  cxxopts::Options parser("rung data",
                          "Shows what the model will see: text, ids, labels and counts.\n\n"
                          "Examples:\n"
                          "  rung data configs/demo.yaml\n"
                          "  rung data configs/demo.yaml --show 20 --set sequence_len=512\n"
                          "  rung data configs/demo.yaml --json > rows.jsonl\n");
  parser.positional_help("CONFIG");
  parser.add_options()("config", "the YAML of the run", cxxopts::value<std::string>())(
      "show", "examples to show", cxxopts::value<int64_t>()->default_value("3"), "N")(
      "json", "one JSON object a row, then a summary; all rows unless --show is given")(
      "set", "override a key of the configuration; may be repeated",
      cxxopts::value<std::vector<std::string>>(), "KEY=VALUE")("h,help", "this text");
  parser.parse_positional({"config"});
  DataOptions options;
  try {
    const cxxopts::ParseResult parsed = parser.parse(argc, argv);
    if (parsed.count("help") > 0) {
      options.help = parser.help();
      return options;
    }
    if (parsed.count("config") == 0 || !parsed.unmatched().empty()) {
      throw Error(ExitCode::kUsage,
                  {.what = "rung data takes one configuration", .hint = "see `rung data --help`"});
    }
    options.config = parsed["config"].as<std::string>();
    options.show = parsed["show"].as<int64_t>();
    options.show_given = parsed.count("show") > 0;
    if (parsed.count("json") > 0) options.output = Output::kJson;
    // The values as they were written: a vector option splits them at commas.
    for (const cxxopts::KeyValue& argument : parsed.arguments()) {
      if (argument.key() == "set") options.overrides.push_back(argument.value());
    }
  } catch (const cxxopts::exceptions::exception& error) {
    throw Error(ExitCode::kUsage, {.what = error.what(), .hint = "see `rung data --help`"});
  }
  return options;
}

void print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error(ExitCode::kDamaged, {.what = "cannot write to standard output"});
  }
}

void print_examples(const std::vector<data::Example>& examples, const text::Tokenizer& tokenizer,
                    const DataOptions& options) {
  const bool all = options.output == Output::kJson && !options.show_given;
  const auto count =
      all ? examples.size()
          : std::min(examples.size(), static_cast<size_t>(std::max<int64_t>(options.show, 0)));
  const data::Marks marks =
      ::isatty(STDOUT_FILENO) == 1 ? data::Marks::kColours : data::Marks::kBrackets;
  for (size_t i = 0; i < count; ++i) {
    print(options.output == Output::kJson
              ? data::row_json(static_cast<int64_t>(i), examples[i], tokenizer)
                        .dump(-1, ' ', false, Json::error_handler_t::replace) +
                    "\n"
              : data::show_example(examples[i], tokenizer, marks) + "\n");
  }
}

}  // namespace

int run_data(int argc, char** argv) {
  const DataOptions options = parse_options(argc, argv);
  if (!options.help.empty()) {
    print(options.help);
    return static_cast<int>(ExitCode::kOk);
  }
  const LoadedConfig loaded = load_run_config(options.config, options.overrides);
  for (const std::string& note : loaded.notes) fmt::print(stderr, "note: {}\n", note);
  const RunConfig& run = loaded.config;

  const std::filesystem::path model = format::find_model_folder(run.base_model);
  const int64_t vocab_size = format::read_model_config(model / "config.json").vocab_size;
  const text::Tokenizer tokenizer = text::Tokenizer::load(model);
  const auto chat_template = data::load_chat_template(run, model);
  const text::ChatTemplate* chat = chat_template ? &*chat_template : nullptr;

  data::Dataset train = data::load_dataset(run.datasets, run, tokenizer, chat, vocab_size);
  print_examples(train.examples, tokenizer, options);

  data::DataSummary summary{.read = train.report,
                            .lengths = data::length_histogram(train.examples)};
  // Rows are shown as they are read; the split comes after.
  const data::Dataset validation =
      run.test_datasets.empty()
          ? data::split_validation(train, run.val_set_size, run.seed)
          : data::load_dataset(run.test_datasets, run, tokenizer, chat, vocab_size);
  summary.num_train = static_cast<int64_t>(train.examples.size());
  summary.num_validation = static_cast<int64_t>(validation.examples.size());
  summary.batches = data::report_batches(train.examples, run);
  print(options.output == Output::kJson ? data::summary_json(summary, run).dump() + "\n"
                                        : data::show_summary(summary, run));
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
