#include "training/run.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <chrono>
#include <optional>

#include "base/config.h"
#include "base/console.h"
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
  void say_plan(int64_t limit) const;
  void restore(const fs::path& checkpoint);

  step::StepOutcome take_step();
  void count_skipped(const step::StepResult& result);
  void report(const step::StepResult& result, const data::StepBatch& batch, double learning_rate,
              double seconds);
  void evaluate_validation();
  void save();
  void publish_adapter();
  bool due(int64_t every) const { return every > 0 && state_.step % every == 0; }
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
      plan_(plan_run(config, base_.folder.config(), adapter_plan_.options, data_.train.examples,
                     limit)),
      model_(load_model(config, base_, adapter_plan_)),
      optimizer_(model_.adapter().parameters(), {.beta1 = config.adam_beta1,
                                                 .beta2 = config.adam_beta2,
                                                 .epsilon = config.adam_epsilon,
                                                 .weight_decay = config.weight_decay}),
      loader_(data_.train.examples, loader_options(config)) {
  record_.planned_peak = plan_.planned_peak;
  record_.hashes["base_model/config.json"] = sha256_of_file(base_.folder.path() / "config.json");
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

void TrainingRun::restore(const fs::path& checkpoint) {
  state_ = load_checkpoint(checkpoint, model_.adapter(), optimizer_);
  loader_.seek(state_.loader);
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
  const job::StopSignal stop_signal;
  peaks_.enter("train");
  progress_.emplace(log_, ProgressOptions{.total_steps = plan_.total_steps,
                                          .first_step = state_.step,
                                          .logging_steps = config_.logging_steps,
                                          .in_place = is_terminal(2),
                                          .width = terminal_width(2)});
  while (state_.step < plan_.total_steps) {
    if (take_step() == step::StepOutcome::kStopped || job::StopSignal::requested()) {
      save();
      progress_->finish();
      return ExitCode::kStopped;
    }
    if (due(config_.eval_steps) && state_.step < plan_.total_steps) evaluate_validation();
    if (due(config_.save_steps)) save();
  }
  evaluate_validation();
  save();
  progress_->finish();
  publish_adapter();
  return ExitCode::kOk;
}

step::StepOutcome TrainingRun::take_step() {
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
    return result.outcome;
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
  return result.outcome;
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
  if (state_.skipped_in_a_row < config_.max_skipped_steps) return;
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

void TrainingRun::evaluate_validation() {
  if (data_.validation.examples.empty()) return;
  peaks_.enter("eval");
  const int64_t batch_size =
      config_.eval_batch_size > 0 ? config_.eval_batch_size : config_.micro_batch_size;
  const Evaluation result = evaluate(model_, data_.validation.examples, batch_size);
  metrics_->write({{"kind", "eval"},
                   {"step", state_.step},
                   {"loss", result.loss},
                   {"perplexity", result.perplexity},
                   {"tokens", result.tokens},
                   {"seconds", result.seconds}});
  progress_->message(fmt::format("step {}: validation loss {:.4f}, perplexity {:.3f}", state_.step,
                                 result.loss, result.perplexity));
  peaks_.enter("train");
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
  record_.steps = state_.step;
  record_.skipped_steps = state_.skipped_steps;
  record_.tokens = state_.tokens_total;
  record_.seconds = state_.elapsed_seconds;
  peaks_.enter("train");
}

void TrainingRun::publish_adapter() {
  const fs::path partial = config_.output_dir / ".adapter.partial";
  fs::remove_all(partial);
  fs::create_directory(partial);
  format::write_adapter(partial, {adapter_plan_.config, model_.adapter().tensors()});
  for (const char* name : {"adapter_config.json", "adapter_model.safetensors"}) {
    fs::rename(partial / name, config_.output_dir / name);
    record_.hashes[name] = sha256_of_file(config_.output_dir / name);
  }
  fs::remove(partial);
}

// Runs `body` and leaves run.json behind, however it ends.
template <typename Body>
ExitCode recorded(const fs::path& output_dir, RunRecord& record, PhasePeaks& peaks, Body&& body) {
  const auto write = [&](ExitCode code, const std::string& reason) {
    record.exit_code = code;
    record.exit_reason = reason;
    record.peak_by_phase = peaks.finish();
    for (const auto& [phase, peak] : record.peak_by_phase) {
      record.measured_peak = std::max(record.measured_peak, peak);
    }
    write_run_record(output_dir, record);
  };
  try {
    const ExitCode code = body();
    write(code, code == ExitCode::kOk ? "done" : "stopped on request, checkpoint saved");
    return code;
  } catch (const Error& error) {
    write(error.code(), error.what());
    throw;
  } catch (const c10::OutOfMemoryError& error) {
    write(ExitCode::kDoesNotFit, error.what_without_backtrace());
    throw;
  }
}

}  // namespace

ExitCode train(const TrainRequest& request, std::ostream& log) {
  const RunConfig config = with_starting_adapter(request.config, request.explicit_keys);
  for (const std::string& note : request.notes) fmt::print(log, "note: {}\n", note);
  const int64_t limit = apply_machine_settings(config);
  const DirLock lock(config.output_dir);
  remove_partials(config.output_dir);
  const StartingPoint start = find_starting_point(config, request.resume, log);
  if (start.finished) {
    fmt::print(log, "finished already: the adapter is in {} (--resume never trains anew)\n",
               escape_for_terminal(config.output_dir.string()));
    return ExitCode::kOk;
  }
  RunRecord record{.memory_limit = limit, .config = dump_resolved_yaml(config)};
  PhasePeaks peaks("load");
  return recorded(config.output_dir, record, peaks, [&] {
    TrainingRun run(config, start, limit, peaks, record, log);
    return run.run();
  });
}

}  // namespace rung::training
