#include "training/training_run.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>

#include "base/config.h"
#include "base/error.h"
#include "base/stopwatch.h"
#include "base/units.h"
#include "data/split.h"
#include "job/stop_signal.h"
#include "training/evaluation.h"
#include "training/largest_batch.h"
#include "training/metrics_rows.h"
#include "training/not_finite.h"
#include "training/output_folder.h"
#include "training/run_summary.h"

namespace rung::training {
namespace fs = std::filesystem;

TrainingRun::TrainingRun(const RunConfig& config, const StartingPoint& start,
                         const Machine& machine, const RunReport& report)
    : config_(config),
      machine_(machine),
      peaks_(report.peaks),
      record_(report.record),
      log_(report.log),
      base_(open_base_model(config)),
      data_(load_data(config, base_, &log_)),
      adapter_plan_(plan_adapter(config, base_.folder.config())),
      plan_(plan_run(plan_request())),
      inputs_(start.inputs ? *start.inputs : hash_inputs(config)),
      model_(load_model(config, base_, adapter_plan_, plan_.model)),
      optimizer_(model_.adapter().parameters(), optimizer_options(config)),
      recovery_(machine.device, config.fit == "off" ? 0 : config.max_oom_recoveries,
                [this](const OutOfMemory& event) { note_out_of_memory(event); }),
      settings_(plan_.settings),
      evaluation_settings_{.memory = plan_.evaluation.memory},
      loader_(data_.train.examples, loader_options(config)),
      evaluation_pace_(data_.validation.report.tokens) {
  if (model_.precision().compute == c10::kHalf) state_.loss_scale.emplace();
  record_plan();
  say_notes();
  take_over(start);
  metrics_.emplace(config.output_dir / "metrics.jsonl");
  say_plan();
  metrics_->write(row_of(StartRow{
      .machine = machine_, .plan = plan_, .settings = settings_, .first_step = state_.step}));
}

PlanRequest TrainingRun::plan_request() const {
  return {.config = config_,
          .model = base_.folder.config(),
          .adapter = adapter_plan_.options,
          .examples = data_.train.examples,
          .validation = data_.validation.examples,
          .memory_limit = machine_.tensor_limit(),
          .device = machine_.device.torch_device().type(),
          .num_multiprocessors = machine_.device.num_multiprocessors(),
          .architecture = machine_.device.architecture(),
          .host_limit = machine_.host_limit()};
}

model::Transformer TrainingRun::load_model(const RunConfig& config, const BaseModel& base,
                                           const AdapterPlan& adapter,
                                           const model::ModelOptions& options) {
  model::Transformer model(base.folder.config(), &base.folder, options);
  attach_adapter(model, adapter, config);
  return model;
}

void TrainingRun::record_plan() {
  record_.planned_peak = plan_.planned_peak();
  record_.planned_by_phase = plan_.planned_by_phase();
  record_.inputs = inputs_;
}

void TrainingRun::say_notes() const {
  std::vector<std::string> notes = base_.tokenizer.notes();
  if (const auto note = context_note(config_, base_.folder.config())) notes.push_back(*note);
  if (const auto note = offloading_note(config_)) notes.push_back(*note);
  if (const auto note = attention_note(plan_.model)) notes.push_back(*note);
  if (const auto note = deterministic_note(plan_request(), plan_)) notes.push_back(*note);
  for (const std::string& note : notes) {
    fmt::print(log_, "note: {}\n", escape_for_terminal(note));
  }
}

void TrainingRun::say_plan() const {
  log_ << summary_text({.config = config_,
                        .machine = machine_,
                        .data = data_.train.report,
                        .plan = plan_,
                        .num_blocks = model_.num_blocks(),
                        .num_adapted = std::ssize(adapter_plan_.options.modules),
                        .num_parameters = model_.adapter().parameters().numel()});
}

// From here on the folder is this run's.
void TrainingRun::take_over(const StartingPoint& start) {
  if (start.previous == StartingPoint::Previous::kDiscard) discard_previous_run(config_.output_dir);
  record_.is_earlier_run_there = false;
  if (start.checkpoint) restore(*start.checkpoint);
  // The checkpoint may lie elsewhere, and output_dir may have later ones, from which the next
  // resume would go on: saving makes it the newest. Before the metrics are cut: a resume from a
  // later one would miss their rows.
  if (start.previous == StartingPoint::Previous::kRepeats) save();
  open_run_folder(config_, {.step = state_.step, .evaluated_step = state_.evaluated_step});
}

void TrainingRun::restore(const fs::path& checkpoint) {
  const bool is_scaled = state_.loss_scale.has_value();
  state_ = load_checkpoint(checkpoint, model_.adapter(), optimizer_);
  if (state_.loss_scale.has_value() != is_scaled) {
    throw Error(ExitCode::kDamaged,
                {.what = is_scaled ? "a checkpoint of an fp16 run has no loss scale"
                                   : "a checkpoint has a loss scale, but its run is not in fp16",
                 .where = checkpoint.string()});
  }
  if (has_diverged()) {  // the same command again would pass over what was wrong
    saved_ = {.step = state_.step, .evaluated_step = state_.evaluated_step};
    throw diverged();
  }
  loader_.seek(state_.loader);
  saved_ = {.step = state_.step, .evaluated_step = state_.evaluated_step};
  if (state_.climbed) {
    // From there on: this machine may have less memory than the one that climbed.
    const fit::Choice choice = choose_from(plan_request(), plan_, *state_.climbed);
    settings_ = choice.settings;
    state_.climbed = settings_;
    record_.planned_peak = std::max(choice.peak, plan_.evaluation.peak);
    fmt::print(log_, "goes on   with {}, where memory ran out before\n",
               fit::describe(settings_, plan_.bounds));
  }
  record_progress();
  fmt::print(log_, "resumed   from {} (step {})\n", escape_for_terminal(checkpoint.string()),
             state_.step);
}

ExitCode TrainingRun::run() {
  peaks_.enter("train");
  progress_.emplace(log_, ProgressOptions{.total_steps = plan_.total_steps,
                                          .first_step = state_.step,
                                          .logging_steps = config_.logging_steps,
                                          .in_place = is_terminal(2)});
  probe();
  while (true) {
    // Before an evaluation, which takes memory of its own: a run must not be lost to it.
    if (is_at_end() && state_.step != saved_.step) save();
    // First, because the process before this one may have been stopped after a step and before its
    // evaluation.
    if (evaluation_is_due()) evaluate_validation();
    const bool is_done = is_at_end() && !evaluation_is_due();
    if (!is_done && job::StopSignal::requested()) {
      save();
      progress_->finish();
      return ExitCode::kStopped;
    }
    if (is_done) break;
    if (due(config_.save_steps) && state_.step != saved_.step) save();
    take_step();
  }
  if (state_.evaluated_step != saved_.evaluated_step) save();
  progress_->finish();
  record_.outputs =
      publish_adapter(config_.output_dir, {adapter_plan_.config, model_.adapter().tensors()});
  return ExitCode::kOk;
}

// Loud, and written down: whoever looks at the run later has to see why it took longer.
void TrainingRun::note_out_of_memory(const OutOfMemory& event) {
  const std::string text =
      fmt::format("out of memory in {}: {}; {}", event.what.during, event.reason,
                  event.is_again ? "once more as it was" : "on with " + event.to);
  if (progress_) {
    progress_->message(text);
  } else {
    fmt::print(log_, "{}\n", text);
  }
  if (metrics_) metrics_->write(row_of(event, state_.step));
  peaks_.again();  // the rows have the peak of the attempt that succeeds
  ++record_.oom_recoveries;
  if (event.is_again) return;
  record_.rung_changes.push_back(
      {.step = state_.step, .from = event.from, .to = event.to, .reason = event.reason});
}

// Takes the largest micro-batch and the largest batch of an evaluation once, for nothing but their
// memory: what does not fit is found now, not at the end of an epoch. Leaves no trace but in the
// gradients, which every step clears.
void TrainingRun::probe() {
  if (config_.fit == "off" || is_at_end()) return;
  peaks_.enter("probe");
  fmt::print(log_, "probe     the largest batches, once before the first step\n");
  const fit::StepShape shape = step_shape(plan_request());
  const auto longest =
      std::ranges::max_element(data_.train.examples, {}, &data::Example::num_tokens);
  const Attempted what{
      .during = fmt::format("the largest micro-batch, which has {} in it", longest->source),
      .longest = &*longest};
  // Its largest part, as it was planned: packed rows stand for documents, and have none to be cut
  // between.
  with_recovery(what, plan_.bounds,
                [&](const fit::StepSettings& settings, const step::StepOptions& options) {
                  return step::compute_gradients(model_, fit::with_settings(shape, settings).batch,
                                                 state_.step, options);
                });
  if (!data_.validation.examples.empty()) {
    evaluation_loss(
        model_, largest_evaluation_batch(data_.validation.examples, plan_.evaluation.batch_size),
        &recovery_, evaluation_settings_);
  }
  peaks_.enter("train");
}

step::StepOptions TrainingRun::stoppable_options(const fit::StepSettings& settings) const {
  step::StepOptions options = step_options(config_, settings);
  options.should_stop = &job::StopSignal::requested;
  return options;
}

// Calls take(settings, options) with the settings that are in force, and again with others where
// memory runs out.
template <typename Take>
step::StepResult TrainingRun::with_recovery(const Attempted& what, const fit::LadderBounds& bounds,
                                            const Take& take) {
  const fit::StepSettings before = settings_;
  const step::StepResult result =
      recovery_.run(what, bounds, settings_, [&](const fit::StepSettings& settings) {
        step::StepOptions options = stoppable_options(settings);
        if (state_.loss_scale) options.loss_scale = &*state_.loss_scale;
        return take(settings, options);
      });
  if (settings_ != before) state_.climbed = settings_;
  return result;
}

// Takes one step, or none where a stop is requested meanwhile.
void TrainingRun::take_step() {
  peaks_.enter("train");  // the row has this step's peak
  const Stopwatch stopwatch;
  const data::LoaderState before = loader_.state();
  const data::StepBatch batch = loader_.next();
  const double rate = step::learning_rate(plan_.schedule, state_.step);
  data::StepBatch taken;  // by the last attempt
  const step::StepResult result = with_recovery(
      attempted_step(batch, state_.step + 1, data_.train.examples), plan_.bounds_for(batch),
      [&](const fit::StepSettings& settings, const step::StepOptions& options) {
        taken = data::split_step(batch, settings.split);
        return step::run_step(model_, optimizer_, taken,
                              {.index = state_.step, .learning_rate = rate}, options);
      });
  if (result.outcome == step::StepOutcome::kStopped) {
    loader_.seek(before);  // the step was not taken; the next process takes it whole
    return;
  }
  const double seconds = stopwatch.seconds();
  ++state_.step;
  state_.loader = loader_.state();
  state_.num_updates = optimizer_.num_updates();
  state_.tokens_total += batch.num_tokens();
  state_.elapsed_seconds += seconds;
  session_seconds_ += seconds;
  session_tokens_ += batch.num_tokens();
  Json row = row_of_step(result, taken, {.learning_rate = rate, .seconds = seconds});
  show_progress(row);
  // Behind the row's figures: the search for the culprits takes memory of its own.
  if (result.outcome == step::StepOutcome::kNotFinite) {
    row["not_finite"] = note_skipped(result, taken);
  } else {
    state_.skipped_in_a_row = 0;
  }
  metrics_->write(row);
  record_progress();
  check_divergence();
}

Json TrainingRun::row_of_step(const step::StepResult& result, const data::StepBatch& taken,
                              const StepPace& pace) const {
  return row_of(StepRow{
      .result = result,
      .batch = taken,
      .examples = data_.train.examples,
      .device = machine_.device,
      .step = state_.step,
      .epoch = epoch(),
      .learning_rate = pace.learning_rate,
      .seconds = pace.seconds,
      .tokens_total = state_.tokens_total,
      .elapsed_seconds = state_.elapsed_seconds,
      .loss_scale = state_.loss_scale ? std::optional(state_.loss_scale->value()) : std::nullopt});
}

// Counts a skipped step and says whose fault it was; returns the sources of these examples.
std::vector<std::string> TrainingRun::note_skipped(const step::StepResult& result,
                                                   const data::StepBatch& taken) {
  ++state_.skipped_steps;
  ++state_.skipped_in_a_row;
  const std::vector<data::Example>& examples = data_.train.examples;
  const std::vector<int64_t> documents =
      find_not_finite(model_, taken, state_.step - 1, stoppable_options(settings_));
  progress_->message(skipped_text(state_.step, result, documents, taken, examples));
  std::vector<std::string> sources;
  for (const int64_t i : documents) sources.push_back(examples[static_cast<size_t>(i)].source);
  return sources;
}

bool TrainingRun::has_diverged() const {
  return state_.skipped_in_a_row >= std::max<int64_t>(1, config_.max_skipped_steps);
}

// The adapter is as the last finite step left it, and worth keeping.
void TrainingRun::check_divergence() {
  if (!has_diverged()) return;
  if (state_.step != saved_.step) {
    try {
      save();
    } catch (const std::exception& error) {  // what is to be told is the divergence
      progress_->message(fmt::format("the last checkpoint cannot be saved: {}", error.what()));
    }
  }
  throw diverged();
}

Error TrainingRun::diverged() const {
  const std::string checkpoint =
      saved_.step == state_.step
          ? fmt::format("; the adapter as it was before them is in {}, for lora_model_dir",
                        checkpoint_dir(config_.output_dir, state_.step).string())
          : "";
  return Error(ExitCode::kDiverged,
               {.what = fmt::format("{} in a row had a loss or gradient that is not finite",
                                    format_counted(state_.skipped_in_a_row, "step")),
                .hint = "lower learning_rate, and look at the data with `rung data`" + checkpoint});
}

void TrainingRun::show_progress(const Json& row) {
  progress_->update({.step = state_.step,
                     .epoch = row.at("epoch"),
                     .loss = row.at("loss"),
                     .tokens_per_second = row.at("tokens_per_second"),
                     .peak_memory = row.at("memory_peak"),
                     .elapsed_seconds = session_seconds_,
                     .seconds_beside = evaluation_seconds()});
}

// Expected of all evaluations that are still to be held.
double TrainingRun::evaluation_seconds() const {
  if (data_.validation.examples.empty()) return 0.0;
  const int64_t count = evaluations_after(state_.step, {config_.eval_steps, plan_.total_steps}) +
                        (evaluation_is_due() ? 1 : 0);
  const double recomputed_share = static_cast<double>(settings_.memory.num_recomputed) /
                                  static_cast<double>(model_.num_blocks());
  return static_cast<double>(count) *
         evaluation_pace_.seconds({.seconds = session_seconds_,
                                   .tokens = session_tokens_,
                                   .recomputed_share = recomputed_share});
}

bool TrainingRun::evaluation_is_due() const {
  if (data_.validation.examples.empty() || state_.evaluated_step == state_.step) return false;
  return is_at_end() || due(config_.eval_steps);
}

// Writes the figures down, unless a stop is requested meanwhile.
void TrainingRun::evaluate_validation() {
  peaks_.enter("eval");
  const auto total = std::ssize(data_.validation.examples);
  const Stopwatch stopwatch;
  const double expected_seconds = evaluation_seconds();
  const auto show = [&](int64_t done) {
    progress_->evaluating(
        {.done = done,
         .total = total,
         .seconds_beside = std::max(0.0, expected_seconds - stopwatch.seconds())});
  };
  show(0);
  const Evaluation result = evaluate(model_, data_.validation.examples,
                                     {.batch_size = plan_.evaluation.batch_size,
                                      .recovery = &recovery_,
                                      .should_stop = &job::StopSignal::requested,
                                      .on_progress = show},
                                     evaluation_settings_);
  const int64_t peak = machine_.device.counter().usage().peak;
  peaks_.enter("train");
  if (!result.complete) return;
  evaluation_pace_.add(result.seconds);
  state_.evaluated_step = state_.step;
  metrics_->write(row_of(result, state_.step, peak));
  progress_->message(fmt::format("step {}: validation loss {:.4f}, perplexity {:.3f}", state_.step,
                                 result.loss, result.perplexity));
}

void TrainingRun::save() {
  peaks_.enter("save");
  state_.loader = loader_.state();
  fit::StepSettings nothing_to_change;
  const Attempted what{.during = "saving a checkpoint", .settings = SettingsOf::kSave};
  recovery_.run(what, {}, nothing_to_change, [&](const fit::StepSettings&) {
    save_checkpoint(config_.output_dir,
                    {.adapter = model_.adapter(),
                     .adapter_config = adapter_plan_.config,
                     .optimizer = optimizer_,
                     .state = state_,
                     .resolved_config = dump_resolved_yaml(config_),
                     .inputs = inputs_},
                    config_.save_total_limit);
    return true;
  });
  saved_ = {.step = state_.step, .evaluated_step = state_.evaluated_step};
  peaks_.enter("train");
}

void TrainingRun::record_progress() {
  record_.steps = state_.step;
  record_.skipped_steps = state_.skipped_steps;
  record_.tokens = state_.tokens_total;
  record_.seconds = state_.elapsed_seconds;
}

double TrainingRun::epoch() const {
  const data::LoaderState at = loader_.state();
  return static_cast<double>(at.epoch) +
         static_cast<double>(at.step_in_epoch) / static_cast<double>(plan_.steps_in_epoch);
}

}  // namespace rung::training
