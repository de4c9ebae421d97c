#include "training/run.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <system_error>

#include "base/config.h"
#include "base/console.h"
#include "base/disk.h"
#include "base/metrics.h"
#include "base/publish.h"
#include "base/sha256.h"
#include "base/units.h"
#include "job/stop_signal.h"
#include "memory/counting_allocator.h"
#include "memory/system_memory.h"
#include "step/step.h"
#include "training/checkpoint.h"
#include "training/evaluation.h"
#include "training/failure.h"
#include "training/phase_peaks.h"
#include "training/run_plan.h"
#include "training/run_record.h"
#include "training/setup.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct PlanRequest {
  const RunConfig& config;
  const format::ModelConfig& model;
  const model::AdapterOptions& adapter;
  std::span<const data::Example> examples;
  int64_t limit;  // bytes
};

// plan_run, refused before anything large is loaded where the blocks that the user chose to
// recompute are too few.
RunPlan fitting_plan(const PlanRequest& request) {
  RunPlan plan =
      plan_run(request.config, request.model, request.adapter, request.examples, request.limit);
  if (plan.planned_peak <= request.limit) return plan;
  throw Error(
      ExitCode::kDoesNotFit,
      {.what = fmt::format("a training step with {} of {} blocks recomputed does not fit",
                           plan.num_recomputed, request.model.num_layers),
       .got = format_bytes(plan.planned_peak),
       .expected =
           fmt::format("at most {} (memory_limit, or what is free)", format_bytes(request.limit)),
       .hint = "set gradient_checkpointing: auto, or lower micro_batch_size or sequence_len"});
}

// One run in one process. The constructor opens and checks everything and loads the model; run() is
// the loop.
class TrainingRun {
 public:
  TrainingRun(const RunConfig& config, const StartingPoint& start, int64_t limit, PhasePeaks& peaks,
              RunRecord& record, std::ostream& log);

  ExitCode run();

 private:
  static model::Transformer load_model(const RunConfig& config, const BaseModel& base,
                                       const AdapterPlan& adapter);
  void record_inputs();
  void say_plan(int64_t limit) const;
  void restore(const fs::path& checkpoint);

  void take_step();
  void count_skipped(const step::StepResult& result);
  void check_divergence() const;
  void report(const step::StepResult& result, const data::StepBatch& batch, double learning_rate,
              double seconds);
  bool evaluation_is_due() const;
  void evaluate_validation();
  void save();
  void publish_adapter();
  bool due(int64_t every) const { return every > 0 && state_.step % every == 0; }
  void update_record();
  double epoch() const;

  const RunConfig& config_;
  PhasePeaks& peaks_;
  RunRecord& record_;
  std::ostream& log_;
  BaseModel base_;
  data::RunData data_;
  AdapterPlan adapter_plan_;
  RunPlan plan_;
  model::Transformer model_;
  step::Optimizer optimizer_;
  data::Loader loader_;
  TrainerState state_;
  int64_t saved_step_ = 0;  // of the newest checkpoint
  std::optional<MetricsWriter> metrics_;
  std::optional<Progress> progress_;
  double session_seconds_ = 0.0;  // training time of this process
};

TrainingRun::TrainingRun(const RunConfig& config, const StartingPoint& start, int64_t limit,
                         PhasePeaks& peaks, RunRecord& record, std::ostream& log)
    : config_(config),
      peaks_(peaks),
      record_(record),
      log_(log),
      base_(open_base_model(config)),
      data_(data::load_run_data(config, base_.tokenizer,
                                base_.chat_template ? &*base_.chat_template : nullptr,
                                base_.folder.config().vocab_size)),
      adapter_plan_(plan_adapter(config, base_.folder.config())),
      plan_(fitting_plan(
          {config, base_.folder.config(), adapter_plan_.options, data_.train.examples, limit})),
      model_(load_model(config, base_, adapter_plan_)),
      optimizer_(model_.adapter().parameters(), {.beta1 = config.adam_beta1,
                                                 .beta2 = config.adam_beta2,
                                                 .epsilon = config.adam_epsilon,
                                                 .weight_decay = config.weight_decay}),
      loader_(data_.train.examples, loader_options(config)) {
  record_inputs();
  for (const std::string& note : base_.tokenizer.notes()) {
    fmt::print(log, "note: {}\n", escape_for_terminal(note));
  }
  if (start.discard_previous) discard_previous_run(config.output_dir);
  if (start.checkpoint) restore(*start.checkpoint);
  const fs::path metrics = config.output_dir / "metrics.jsonl";
  truncate_after_step(metrics, state_.step);
  metrics_.emplace(metrics);
  publish_file(config.output_dir / "config.resolved.yaml", dump_resolved_yaml(config));
  say_plan(limit);
}

model::Transformer TrainingRun::load_model(const RunConfig& config, const BaseModel& base,
                                           const AdapterPlan& adapter) {
  model::Transformer model(base.folder.config(), &base.folder,
                           model_options(config, base.folder.config()));
  attach_adapter(model, adapter, config);
  return model;
}

void TrainingRun::record_inputs() {
  record_.planned_peak = plan_.planned_peak;
  record_.hashes["base_model/config.json"] = sha256_of_file(base_.folder.path() / "config.json");
  for (const auto* datasets : {&config_.datasets, &config_.test_datasets}) {
    for (const DatasetConfig& dataset : *datasets) {
      record_.hashes[dataset.path.string()] = sha256_of_file(dataset.path);
    }
  }
}

void TrainingRun::restore(const fs::path& checkpoint) {
  state_ = load_checkpoint(checkpoint, model_.adapter(), optimizer_);
  loader_.seek(state_.loader);
  saved_step_ = state_.step;
  update_record();
  fmt::print(log_, "resumed   from {} (step {})\n", escape_for_terminal(checkpoint.string()),
             state_.step);
}

void TrainingRun::say_plan(int64_t limit) const {
  const auto& report = data_.train.report;
  fmt::print(log_, "model     {} ({} blocks, {})\n", escape_for_terminal(config_.base_model),
             model_.num_blocks(), config_.load_in_4bit ? "NF4" : "dense");
  fmt::print(log_, "adapter   LoRA r {} on {} linears, {} parameters\n", adapter_plan_.options.r,
             adapter_plan_.options.modules.size(),
             format_count(model_.adapter().parameters().numel()));
  fmt::print(log_, "data      {} examples, {} tokens, {} of them learnt\n",
             format_count(report.kept), format_count(report.tokens),
             format_count(report.supervised_tokens));
  if (report.too_long + report.truncated + report.without_labels > 0) {
    fmt::print(log_, "          {} too long and dropped, {} truncated, {} with nothing to learn\n",
               report.too_long, report.truncated, report.without_labels);
  }
  fmt::print(log_, "plan      {} steps, {} of {} blocks recomputed, peak {} of {}\n",
             plan_.total_steps, plan_.num_recomputed, model_.num_blocks(),
             format_bytes(plan_.planned_peak), format_bytes(limit));
}

double TrainingRun::epoch() const {
  const data::LoaderState at = loader_.state();
  return static_cast<double>(at.epoch) +
         static_cast<double>(at.step_in_epoch) / static_cast<double>(plan_.steps_in_epoch);
}

ExitCode TrainingRun::run() {
  peaks_.enter("train");
  progress_.emplace(log_, ProgressOptions{.total_steps = plan_.total_steps,
                                          .first_step = state_.step,
                                          .logging_steps = config_.logging_steps,
                                          .in_place = is_terminal(2),
                                          .width = terminal_width(2)});
  while (true) {
    // Before an evaluation, which takes memory of its own: a run must not be lost to it.
    if (state_.step >= plan_.total_steps && state_.step != saved_step_) save();
    // First, because the process before this one may have been stopped after a step and before its
    // evaluation.
    if (evaluation_is_due()) evaluate_validation();
    const bool is_done = state_.step >= plan_.total_steps && !evaluation_is_due();
    if (!is_done && job::StopSignal::requested()) {
      save();
      progress_->finish();
      return ExitCode::kStopped;
    }
    if (is_done) break;
    if (due(config_.save_steps) && state_.step != saved_step_) save();
    take_step();
  }
  save();
  progress_->finish();
  publish_adapter();
  return ExitCode::kOk;
}

// Takes one step, or none where a stop is requested meanwhile.
void TrainingRun::take_step() {
  const auto start = Clock::now();
  const data::LoaderState before = loader_.state();
  const data::StepBatch batch = loader_.next();
  const double rate = step::learning_rate(plan_.schedule, state_.step);
  const step::StepResult result =
      step::run_step(model_, optimizer_, batch, {.index = state_.step, .learning_rate = rate},
                     {.max_grad_norm = config_.max_grad_norm,
                      .num_recomputed = plan_.num_recomputed,
                      .seed = config_.seed,
                      .should_stop = &job::StopSignal::requested});
  if (result.outcome == step::StepOutcome::kStopped) {
    loader_.seek(before);  // the step was not taken; the next process takes it whole
    return;
  }
  const double seconds = seconds_since(start);
  ++state_.step;
  state_.loader = loader_.state();
  state_.num_updates = optimizer_.num_updates();
  state_.tokens_total += batch.num_tokens();
  state_.elapsed_seconds += seconds;
  session_seconds_ += seconds;
  report(result, batch, rate, seconds);
  count_skipped(result);
  update_record();
  check_divergence();
}

void TrainingRun::count_skipped(const step::StepResult& result) {
  if (result.outcome != step::StepOutcome::kNotFinite) {
    state_.skipped_in_a_row = 0;
    return;
  }
  ++state_.skipped_steps;
  ++state_.skipped_in_a_row;
  progress_->message(
      fmt::format("step {} skipped: its loss or gradient is not finite", state_.step));
}

void TrainingRun::check_divergence() const {
  if (state_.skipped_in_a_row < std::max<int64_t>(1, config_.max_skipped_steps)) return;
  throw Error(ExitCode::kDiverged,
              {.what = fmt::format("{} steps in a row had a loss or gradient that is not finite",
                                   state_.skipped_in_a_row),
               .hint = "lower learning_rate, and look at the data with `rung data`"});
}

void TrainingRun::report(const step::StepResult& result, const data::StepBatch& batch,
                         double learning_rate, double seconds) {
  const memory::Usage usage = memory::cpu_counter().usage();
  const int64_t tokens = batch.num_tokens();
  metrics_->write({{"kind", "train"},
                   {"step", state_.step},
                   {"epoch", epoch()},
                   {"loss", result.loss},
                   {"grad_norm", result.grad_norm},
                   {"learning_rate", learning_rate},
                   {"tokens", tokens},
                   {"supervised_tokens", batch.num_supervised()},
                   {"seconds", seconds},
                   {"tokens_per_second", static_cast<double>(tokens) / seconds},
                   {"tokens_total", state_.tokens_total},
                   {"elapsed_seconds", state_.elapsed_seconds},
                   {"memory_peak", usage.peak},
                   {"memory_live", usage.live},
                   {"memory_reserved", usage.live + usage.library},
                   {"memory_other", memory::process_peak() - usage.peak}});
  progress_->update({.step = state_.step,
                     .epoch = epoch(),
                     .loss = result.loss,
                     .tokens_per_second = static_cast<double>(tokens) / seconds,
                     .peak_memory = usage.peak,
                     .elapsed_seconds = session_seconds_});
}

bool TrainingRun::evaluation_is_due() const {
  if (data_.validation.examples.empty() || state_.evaluated_step == state_.step) return false;
  return state_.step >= plan_.total_steps || due(config_.eval_steps);
}

// Writes the figures down, unless a stop is requested meanwhile.
void TrainingRun::evaluate_validation() {
  peaks_.enter("eval");
  const int64_t batch_size =
      config_.eval_batch_size > 0 ? config_.eval_batch_size : config_.micro_batch_size;
  const Evaluation result =
      evaluate(model_, data_.validation.examples, batch_size, &job::StopSignal::requested);
  peaks_.enter("train");
  if (!result.complete) return;
  state_.evaluated_step = state_.step;
  metrics_->write({{"kind", "eval"},
                   {"step", state_.step},
                   {"loss", result.loss},
                   {"perplexity", result.perplexity},
                   {"tokens", result.tokens},
                   {"seconds", result.seconds}});
  progress_->message(fmt::format("step {}: validation loss {:.4f}, perplexity {:.3f}", state_.step,
                                 result.loss, result.perplexity));
}

void TrainingRun::save() {
  peaks_.enter("save");
  state_.loader = loader_.state();
  save_checkpoint(config_.output_dir,
                  {.adapter = model_.adapter(),
                   .adapter_config = adapter_plan_.config,
                   .optimizer = optimizer_,
                   .state = state_,
                   .resolved_config = dump_resolved_yaml(config_)},
                  config_.save_total_limit);
  saved_step_ = state_.step;
  peaks_.enter("train");
}

void TrainingRun::update_record() {
  record_.steps = state_.step;
  record_.skipped_steps = state_.skipped_steps;
  record_.tokens = state_.tokens_total;
  record_.seconds = state_.elapsed_seconds;
}

void TrainingRun::publish_adapter() {
  const fs::path partial = config_.output_dir / ".adapter.partial";
  fs::remove_all(partial);
  fs::create_directory(partial);
  format::write_adapter(partial, {adapter_plan_.config, model_.adapter().tensors()});
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    sync_path(partial / name);
    rename_durably(partial / name, config_.output_dir / name);
    record_.hashes[name] = sha256_of_file(config_.output_dir / name);
  }
  fs::remove(partial);
}

// Where a run writes, and what about it.
struct Recording {
  const fs::path& output_dir;
  RunRecord& record;
  PhasePeaks& peaks;
  std::ostream& log;
};

// Runs `body` and leaves run.json behind, however it ends.
template <typename Body>
ExitCode recorded(const Recording& to, Body&& body) {
  const auto write = [&](ExitCode code, const std::string& reason) {
    RunRecord& record = to.record;
    record.exit_code = code;
    record.exit_reason = reason;
    record.peak_by_phase = to.peaks.finish();
    for (const auto& [phase, peak] : record.peak_by_phase) {
      record.measured_peak = std::max(record.measured_peak, peak);
    }
    write_run_record(to.output_dir, record);
  };
  try {
    const ExitCode code = body();
    write(code, code == ExitCode::kOk ? "done" : "stopped on request, checkpoint saved");
    return code;
  } catch (...) {
    const Failure failure = current_failure();
    try {
      write(failure.code, failure.message);
    } catch (const std::exception& error) {  // the first failure is the one to be told
      fmt::print(to.log, "warning: run.json cannot be written: {}\n", error.what());
    }
    throw;
  }
}

// The adapter to start from must outlive the run: every resume reads its configuration again.
void check_folders(const RunConfig& config) {
  if (config.lora_model_dir.empty()) return;
  const fs::path start = fs::weakly_canonical(config.lora_model_dir);
  const fs::path output = fs::weakly_canonical(config.output_dir);
  const auto differs = std::mismatch(output.begin(), output.end(), start.begin(), start.end());
  if (differs.first != output.end()) return;
  throw Error(ExitCode::kConfig, {.what = "lora_model_dir lies in output_dir",
                                  .hint = "give the new adapter a folder of its own",
                                  .where = config.output_dir.string()});
}

}  // namespace

ExitCode train(const TrainRequest& request, std::ostream& log) {
  const RunConfig config = with_starting_adapter(request.config, request.explicit_keys);
  for (const std::string& note : request.notes) {
    fmt::print(log, "note: {}\n", escape_for_terminal(note));
  }
  const int64_t limit = apply_machine_settings(config);
  check_folders(config);
  const DirLock lock(config.output_dir);
  const job::StopSignal stop_signal;  // loading may take minutes; a stop in it counts too
  remove_partials(config.output_dir);
  remove_partials(config.output_dir / "checkpoints");
  const StartingPoint start = find_starting_point(config, request.resume, log);
  if (start.finished) {
    fmt::print(log, "finished already: the adapter is in {} (--resume never trains anew)\n",
               escape_for_terminal(config.output_dir.string()));
    return ExitCode::kOk;
  }
  RunRecord record{.memory_limit = limit, .config = dump_resolved_yaml(config)};
  PhasePeaks peaks("load");
  return recorded({config.output_dir, record, peaks, log}, [&] {
    TrainingRun run(config, start, limit, peaks, record, log);
    return run.run();
  });
}

}  // namespace rung::training
