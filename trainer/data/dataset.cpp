#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <string>
#include <utility>

#include "base/cores.h"
#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "base/units.h"
#include "data/parallel_encode.h"
#include "data/record_faults.h"

namespace rung::data {
namespace {

constexpr size_t kBatchRecords = 1024;            // parsed at a time; bounds the raw text held
constexpr size_t kBatchBytes = size_t{32} << 20;  // likewise, for long records

int64_t resolve_threads(int64_t num_threads) {
  return num_threads > 0 ? num_threads : available_cores();
}

[[noreturn]] void refuse_length(const Example& example, int64_t sequence_len) {
  throw Error(ExitCode::kConfig,
              {.what = "the record is longer than sequence_len",
               .got = format_counted(example.num_tokens(), "token"),
               .expected = fmt::format("at most {}", sequence_len),
               .hint = "raise sequence_len, or set excess_length_strategy: drop or truncate",
               .where = example.source});
}

// Keeps, cuts or drops one example, and counts it.
void admit(Example example, const RunConfig& run, Dataset& dataset) {
  DatasetReport& report = dataset.report;
  ++report.read;
  report.longest = std::max(report.longest, example.num_tokens());
  if (example.num_tokens() > run.sequence_len) {
    switch (run.excess_length_strategy) {
      case ExcessLength::kRaise:
        refuse_length(example, run.sequence_len);
      case ExcessLength::kDrop:
        ++report.too_long;
        return;
      case ExcessLength::kTruncate:
        ++report.truncated;
        example.input_ids.resize(static_cast<size_t>(run.sequence_len));
        example.labels.resize(static_cast<size_t>(run.sequence_len));
        break;
    }
  }
  const int64_t supervised = example.num_supervised();
  if (supervised == 0) {
    ++report.without_labels;
    return;
  }
  ++report.kept;
  report.tokens += example.num_tokens();
  report.supervised_tokens += supervised;
  dataset.examples.push_back(std::move(example));
}

// Admits what has no fault; where something has, examples are no longer kept.
void admit_or_blame(Encoded encoded, const RunConfig& run, Dataset& dataset, RecordFaults& faults) {
  try {
    if (encoded.fault) std::rethrow_exception(encoded.fault);
    admit(std::move(encoded.example), run, dataset);
  } catch (const Error&) {
    faults.add(std::current_exception());
  }
  if (!faults.empty()) dataset.examples.clear();
}

// What the data of a run are loaded into.
struct Loading {
  Dataset dataset;
  RecordFaults faults;
  LoadProgress* progress;  // may be null
};

void load_file(const DatasetConfig& config, const EncodeContext& context, Loading& loading) {
  RecordReader reader(config.path);
  const EncodeJob job{.path = reader.path(),
                      .config = config,
                      .context = context,
                      .num_threads = resolve_threads(context.run.num_threads)};
  std::vector<RawRecord> batch;
  size_t batch_bytes = 0;
  int64_t last_line = 0;  // of the last batch
  const auto flush = [&] {
    for (Encoded& encoded : encode_batch(batch, job)) {
      admit_or_blame(std::move(encoded), context.run, loading.dataset, loading.faults);
    }
    // A line break or a comma behind each record.
    if (LoadProgress* progress = loading.progress) {
      progress->add(std::ssize(batch), static_cast<int64_t>(batch_bytes + batch.size()));
    }
    last_line = batch.empty() ? last_line : batch.back().line;
    batch.clear();
    batch_bytes = 0;
  };
  // A file that is no longer understood ends there; the faults before come first.
  const auto next = [&]() -> std::optional<RawRecord> {
    try {
      return reader.next();
    } catch (const Error&) {
      flush();
      loading.faults.end_file(std::current_exception());
      return std::nullopt;
    }
  };
  while (std::optional<RawRecord> record = next()) {
    batch_bytes += record->text.size();
    batch.push_back(std::move(*record));
    if (batch.size() < kBatchRecords && batch_bytes < kBatchBytes) continue;
    flush();
    if (!loading.faults.are_enough()) continue;
    loading.faults.stop(fmt::format("at {}:{}", reader.path().string(), last_line));
    return;
  }
  flush();
}

void refuse_empty(const std::vector<DatasetConfig>& configs, const DatasetReport& report) {
  std::string paths;
  for (const DatasetConfig& config : configs) {
    paths += (paths.empty() ? "" : ", ") + config.path.string();
  }
  throw Error(
      ExitCode::kConfig,
      {.what = "the data set leaves nothing to learn",
       .got = fmt::format("{}: {} too long, {} without anything to learn",
                          format_counted(report.read, "record"), report.too_long,
                          report.without_labels),
       .expected = "at least one example",
       .hint = report.too_long > 0 ? "raise sequence_len, or set excess_length_strategy: truncate"
                                   : "see what is learnt with `rung data`",
       .where = paths});
}

int64_t count_validation(double val_set_size, int64_t num_examples) {
  const double count = val_set_size < 1.0
                           ? std::ceil(val_set_size * static_cast<double>(num_examples))
                           : std::floor(val_set_size);
  if (count >= static_cast<double>(num_examples)) {
    throw Error(ExitCode::kConfig,
                {.what = "val_set_size leaves nothing to train on",
                 .got = fmt::format("{} of {}", count, format_counted(num_examples, "example")),
                 .expected = "fewer",
                 .hint = "lower val_set_size, or name test_datasets"});
  }
  return static_cast<int64_t>(count);
}

void count_kept(Dataset& dataset) {
  DatasetReport& report = dataset.report;
  report.kept = static_cast<int64_t>(dataset.examples.size());
  report.tokens = 0;
  report.supervised_tokens = 0;
  for (const Example& example : dataset.examples) {
    report.tokens += example.num_tokens();
    report.supervised_tokens += example.num_supervised();
  }
}

bool has_chat(const std::vector<DatasetConfig>& configs) {
  return std::any_of(configs.begin(), configs.end(), [](const DatasetConfig& config) {
    return config.type == DatasetType::kChatTemplate;
  });
}

}  // namespace

Dataset load_dataset(const std::vector<DatasetConfig>& configs, const EncodeContext& context,
                     LoadProgress* progress) {
  Loading loading{.dataset = {}, .faults = RecordFaults(), .progress = progress};
  for (const DatasetConfig& config : configs) {
    if (loading.faults.are_enough()) {
      loading.faults.stop("before " + config.path.string());
      break;
    }
    load_file(config, context, loading);
  }
  loading.faults.throw_if_any();
  if (loading.dataset.examples.empty()) refuse_empty(configs, loading.dataset.report);
  return std::move(loading.dataset);
}

Dataset split_validation(Dataset& dataset, double val_set_size, uint64_t seed) {
  Dataset validation;
  if (val_set_size <= 0.0) return validation;
  const auto num_examples = static_cast<int64_t>(dataset.examples.size());
  const int64_t num_validation = count_validation(val_set_size, num_examples);
  // Epochs count from 0, so that this draw is none of theirs.
  const std::vector<int64_t> order = shuffled_indices(num_examples, seed, -1);
  std::vector<bool> chosen(dataset.examples.size());
  for (int64_t i = 0; i < num_validation; ++i) chosen[static_cast<size_t>(order[i])] = true;

  std::vector<Example> kept;
  for (size_t i = 0; i < dataset.examples.size(); ++i) {
    (chosen[i] ? validation.examples : kept).push_back(std::move(dataset.examples[i]));
  }
  dataset.examples = std::move(kept);
  count_kept(dataset);
  count_kept(validation);
  validation.report.read = validation.report.kept;
  dataset.report.read -= validation.report.read;
  return validation;
}

RunData load_run_data(const EncodeContext& context, LoadProgress* progress) {
  const RunConfig& run = context.run;
  RunData data;
  data.train = load_dataset(run.datasets, context, progress);
  if (!run.test_datasets.empty()) {
    data.validation = load_dataset(run.test_datasets, context, progress);
  } else {
    data.validation = split_validation(data.train, run.val_set_size, run.seed);
  }
  return data;
}

Dataset load_validation_data(const EncodeContext& context, LoadProgress* progress) {
  const RunConfig& run = context.run;
  if (!run.test_datasets.empty()) return load_dataset(run.test_datasets, context, progress);
  if (run.val_set_size <= 0.0) return {};
  Dataset train = load_dataset(run.datasets, context, progress);
  return split_validation(train, run.val_set_size, run.seed);
}

std::optional<text::ChatTemplate> load_chat_template(const RunConfig& run,
                                                     const std::filesystem::path& model_dir) {
  if (!has_chat(run.datasets) && !has_chat(run.test_datasets)) return std::nullopt;
  const std::string& source = run.chat_template_jinja;
  if (source.empty()) return text::ChatTemplate::from_model(model_dir);
  // A template has braces or line breaks, a path to one has neither.
  if (source.find_first_of("{\n") != std::string::npos) {
    return text::ChatTemplate(source, "chat_template_jinja");
  }
  constexpr size_t kMaxTemplateBytes = size_t{4} << 20;
  return text::ChatTemplate(read_text_file(source, kMaxTemplateBytes), source);
}

}  // namespace rung::data
