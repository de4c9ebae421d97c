// One run in one process: from the files to the loop of steps, evaluations and checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>

#include "base/console.h"
#include "base/metrics.h"
#include "base/run_config.h"
#include "step/step.h"
#include "training/checkpoint.h"
#include "training/evaluation_pace.h"
#include "training/oom_recovery.h"
#include "training/phase_peaks.h"
#include "training/resume.h"
#include "training/run_plan.h"
#include "training/run_record.h"
#include "training/setup.h"

namespace rung::training {

// What a run reports to; all outlive it.
struct RunReport {
  PhasePeaks& peaks;
  RunRecord& record;
  std::ostream& log;
};

class TrainingRun {
 public:
  // Opens and checks everything, plans, loads the model, takes output_dir over and goes to the
  // starting point.
  TrainingRun(const RunConfig& config, const StartingPoint& start, const Machine& machine,
              const RunReport& report);

  // Trains to the last step and publishes the adapter (kOk), or saves a checkpoint where a stop is
  // requested (kStopped).
  ExitCode run();

 private:
  static model::Transformer load_model(const RunConfig& config, const BaseModel& base,
                                       const AdapterPlan& adapter,
                                       const model::ModelOptions& options);
  void say_notes() const;
  void say_plan() const;
  void record_plan();
  void take_over(const StartingPoint& start);
  void restore(const std::filesystem::path& checkpoint);

  void probe();
  step::StepOptions stoppable_options(const fit::StepSettings& settings) const;
  template <typename Take>
  step::StepResult with_recovery(const Attempted& what, const fit::LadderBounds& bounds,
                                 const Take& take);
  void take_step();
  PlanRequest plan_request() const;
  void note_out_of_memory(const OutOfMemory& event);
  struct StepPace {
    double learning_rate;
    double seconds;
  };
  Json row_of_step(const step::StepResult& result, const data::StepBatch& taken,
                   const StepPace& pace) const;
  std::vector<std::string> note_skipped(const step::StepResult& result,
                                        const data::StepBatch& taken);
  bool has_diverged() const;
  Error diverged() const;
  void check_divergence();
  void show_progress(const Json& row);
  double evaluation_seconds() const;
  bool evaluation_is_due() const;
  void evaluate_validation();
  void save();
  bool is_at_end() const { return state_.step >= plan_.total_steps; }
  bool due(int64_t every) const { return every > 0 && state_.step % every == 0; }
  void record_progress();
  double epoch() const;

  const RunConfig& config_;
  const Machine& machine_;
  PhasePeaks& peaks_;
  RunRecord& record_;
  std::ostream& log_;
  BaseModel base_;
  data::RunData data_;
  AdapterPlan adapter_plan_;
  RunPlan plan_;
  InputHashes inputs_;
  model::Transformer model_;
  step::Optimizer optimizer_;
  OomRecovery recovery_;
  fit::StepSettings settings_;             // of the next step
  fit::StepSettings evaluation_settings_;  // of the next evaluation
  data::Loader loader_;
  TrainerState state_;
  MetricsPosition saved_;  // what the newest checkpoint has behind it
  std::optional<MetricsWriter> metrics_;
  std::optional<Progress> progress_;
  double session_seconds_ = 0.0;  // training time of this process
  int64_t session_tokens_ = 0;    // that it has trained on
  EvaluationPace evaluation_pace_;
};

}  // namespace rung::training
