// Loads data sets: files -> records -> examples that fit the model and have something to learn.
//
// Encoding is shared among num_threads threads; examples keep the order of the files, and so do the
// faults that are reported.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/run_config.h"
#include "data/dataset_report.h"
#include "data/encode.h"
#include "data/example.h"
#include "data/load_progress.h"
#include "text/chat_template.h"

namespace rung::data {

struct Dataset {
  std::vector<Example> examples;
  DatasetReport report;
};

// Throws Error kConfig with file:line of the first records that are not sound, have an id outside
// of [0, context.vocab_size) or, with excess_length_strategy raise, are too long; and where nothing
// is left to learn. Reading goes on behind a fault to find others, and ends soon after the tenth,
// or a few seconds after the first. context.chat_template may be null where no data set is of type
// chat_template. What is read is counted in `progress`, where there is one.
Dataset load_dataset(const std::vector<DatasetConfig>& configs, const EncodeContext& context,
                     LoadProgress* progress = nullptr);

// Takes val_set_size of the examples out of `dataset` (below 1: a share, rounded up; otherwise a
// number), chosen by `seed`, and returns them; both parts keep their order and have a report of
// their own (what was dropped stays in the first). Nothing moves where val_set_size is 0. Throws
// Error kConfig where one part would be empty.
Dataset split_validation(Dataset& dataset, double val_set_size, uint64_t seed);

struct RunData {
  Dataset train;
  Dataset validation;  // test_datasets, else the split; empty where neither is configured
};

RunData load_run_data(const EncodeContext& context, LoadProgress* progress = nullptr);

// The validation part alone; the training data are read only where it is a part of them.
Dataset load_validation_data(const EncodeContext& context, LoadProgress* progress = nullptr);

// The template that the configuration asks for: chat_template_jinja (the text, or a path to a
// .jinja file), else the model's own. Nothing where no data set is of type chat_template.
std::optional<text::ChatTemplate> load_chat_template(const RunConfig& run,
                                                     const std::filesystem::path& model_dir);

}  // namespace rung::data
