#include "training/run_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace rung::training {
namespace {

int64_t total_steps(const RunConfig& config, int64_t steps_in_epoch) {
  if (config.max_steps > 0) return config.max_steps;
  return static_cast<int64_t>(std::ceil(config.num_epochs * static_cast<double>(steps_in_epoch)));
}

int64_t choose_recompute(const RunConfig& config, const fit::StepShape& shape, int64_t limit) {
  const int64_t num_blocks = shape.config.num_layers;
  switch (config.gradient_checkpointing.mode) {
    case Recompute::Mode::kAuto:
      return fit::choose_num_recomputed(shape, limit);
    case Recompute::Mode::kAll:
      return num_blocks;
    case Recompute::Mode::kNone:
      return 0;
    case Recompute::Mode::kBlocks:
      return std::min(config.gradient_checkpointing.num_blocks, num_blocks);
  }
  return num_blocks;
}

// Rows of one document each, full to the last token, every token learnt: no packing makes a larger
// micro-batch. Rows that the data cannot fill are left out.
data::MicroBatch full_rows(const RunConfig& config, std::span<const data::Example> examples) {
  int64_t tokens_left = 0;
  for (const data::Example& example : examples) tokens_left += example.num_tokens();
  data::Example row;
  std::vector<data::Example> rows;
  for (int64_t i = 0; i < config.micro_batch_size && tokens_left > 0; ++i) {
    const int64_t length = std::min(config.sequence_len, tokens_left);
    row.input_ids.assign(static_cast<size_t>(length), 0);
    row.labels = row.input_ids;
    rows.push_back(row);
    tokens_left -= length;
  }
  std::vector<int64_t> all(rows.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  return data::make_micro_batch(rows, all);
}

}  // namespace

data::LoaderOptions loader_options(const RunConfig& config) {
  return {.sequence_len = config.sequence_len,
          .micro_batch_size = config.micro_batch_size,
          .gradient_accumulation_steps = config.gradient_accumulation_steps,
          .sample_packing = config.sample_packing,
          .shuffle = config.shuffle,
          .seed = config.seed};
}

data::StepBatch largest_step(const RunConfig& config, std::span<const data::Example> examples) {
  if (config.sample_packing) return {.micro_batches = {full_rows(config, examples)}};
  std::vector<int64_t> order(examples.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](int64_t i) {
    return examples[static_cast<size_t>(i)].num_tokens();
  });
  order.resize(std::min(order.size(), static_cast<size_t>(config.micro_batch_size)));
  // Every token learnt: a shorter batch may learn more of its tokens than the longest examples do.
  std::vector<data::Example> longest;
  for (const int64_t i : order) {
    longest.push_back(examples[static_cast<size_t>(i)]);
    longest.back().labels = longest.back().input_ids;
  }
  std::iota(order.begin(), order.end(), int64_t{0});
  return {.micro_batches = {data::make_micro_batch(longest, order)}};
}

RunPlan plan_run(const RunConfig& config, const format::ModelConfig& model,
                 const model::AdapterOptions& adapter, std::span<const data::Example> examples,
                 int64_t memory_limit) {
  RunPlan plan;
  plan.steps_in_epoch = data::Loader(examples, loader_options(config)).steps_in_epoch(0);
  plan.total_steps = total_steps(config, plan.steps_in_epoch);
  plan.schedule = {.kind = config.lr_scheduler,
                   .peak = config.learning_rate,
                   .warmup_steps = step::warmup_steps(config, plan.total_steps),
                   .total_steps = plan.total_steps};
  const fit::StepShape shape{.config = model,
                             .model = model_options(config, model),
                             .adapter = adapter,
                             .batch = largest_step(config, examples)};
  plan.num_recomputed = choose_recompute(config, shape, memory_limit);
  plan.planned_peak = fit::step_memory(shape, plan.num_recomputed).peak;
  return plan;
}

}  // namespace rung::training
