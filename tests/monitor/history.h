// The record of a run that never was, as a sound run would have written it; tests plant faults.
//
// A QLoRA run on a 24 GB card: 5 GiB stay live, a token of the largest micro-batch takes 700 KiB,
// micro-batches have four documents of 100 to 400 tokens, evaluations come every 25 steps, and a
// desktop beside it moves by some 20 MiB.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include "base/units.h"
#include "monitor/run_history.h"

namespace rung::testing {

inline constexpr monitor::Bytes kMiB = monitor::Bytes{1} << 20;
inline constexpr monitor::Bytes kGiB = monitor::Bytes{1} << 30;

class HistoryBuilder {
 public:
  static constexpr monitor::Bytes kLive = 5 * kGiB;
  static constexpr monitor::Bytes kBytesPerToken = 700 << 10;
  static constexpr int64_t kEvaluationSteps = 25;

  explicit HistoryBuilder(uint64_t seed = 1) : random_(seed) { start(0); }

  // A process begins, `first_step` steps being done.
  HistoryBuilder& start(int64_t first_step) {
    history_.starts.push_back({.first_step = first_step,
                               .total_steps = 1000,
                               .time = time_,
                               .pid = 4711,
                               .host = "node7",
                               .device = "NVIDIA GeForce RTX 4090 (sm_89)",
                               .pci_bus_id = "0000:3B:00.0",
                               .memory_limit = 23 * kGiB,
                               .memory_planned = 7 * kGiB,
                               .rung = "micro-batches whole"});
    while (!history_.steps.empty() && history_.steps.back().step > first_step) {
      history_.steps.pop_back();
    }
    reserved_ = 0;
    return *this;
  }

  HistoryBuilder& steps(int64_t count) {
    for (int64_t i = 0; i < count; ++i) add_step();
    return *this;
  }

  monitor::RunHistory& history() { return history_; }
  std::vector<monitor::Step>& rows() { return history_.steps; }
  monitor::Step& last() { return history_.steps.back(); }

  // Makes the longest document of `step`'s largest micro-batch `tokens` long, and the peak what
  // that takes.
  static void lengthen(monitor::Step& step, int64_t tokens) {
    monitor::LargestMicroBatch& batch = step.largest_micro_batch;
    const int64_t more = tokens - batch.examples.front().tokens;
    batch.examples.front() = {"long.jsonl:77", tokens};
    batch.longest = tokens;
    batch.tokens += more;
    step.memory_peak += more * kBytesPerToken;
    step.memory_at_peak["activations"] += more * kBytesPerToken;
    step.memory_reserved = std::max(step.memory_reserved, step.memory_peak);
  }
  static void leak(monitor::Step& step, const std::string& component, monitor::Bytes bytes) {
    step.memory_live += bytes;
    step.memory_peak += bytes;
    step.memory_live_by_component[component] += bytes;
    step.memory_at_peak[component] += bytes;
    step.memory_reserved = std::max(step.memory_reserved, step.memory_peak);
  }

 private:
  int64_t between(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  void add_step() {
    monitor::Step step;
    int64_t tokens = 0;  // of the step
    step.step = history_.steps.empty() ? 1 : history_.steps.back().step + 1;
    for (int64_t batch = 0; batch < 4; ++batch) {
      monitor::LargestMicroBatch micro_batch{.documents = 4};
      for (int64_t document = 0; document < micro_batch.documents; ++document) {
        const int64_t tokens = between(100, 400);
        micro_batch.tokens += tokens;
        micro_batch.examples.push_back({"train.jsonl:" + std::to_string(between(1, 5000)), tokens});
      }
      std::ranges::sort(micro_batch.examples, std::ranges::greater(),
                        &monitor::ExampleSize::tokens);
      micro_batch.longest = micro_batch.examples.front().tokens;
      tokens += micro_batch.tokens;
      if (micro_batch.tokens > step.largest_micro_batch.tokens) {
        step.largest_micro_batch = micro_batch;
      }
    }
    add_memory(step);
    add_figures(step, tokens);
    history_.steps.push_back(step);
    if (step.step % kEvaluationSteps == 0) add_evaluation(step.step);
  }

  void add_memory(monitor::Step& step) {
    const monitor::Bytes activations = step.largest_micro_batch.tokens * kBytesPerToken;
    // The scratch memory of this step that is not given back yet.
    const monitor::Bytes rest = between(0, 40) * 512;
    step.memory_live = kLive + rest;
    step.memory_live_by_component = {
        {"base_weights", kLive - kGiB}, {"optimizer", kGiB}, {"other", rest}};
    step.memory_at_peak = step.memory_live_by_component;
    step.memory_at_peak["activations"] = activations;
    step.memory_peak = step.memory_live + activations;
    reserved_ = std::max(reserved_, step.memory_peak + step.memory_peak / 30);
    step.memory_reserved = reserved_;
    step.memory_other = 500 * kMiB;
    step.memory_neighbours = 600 * kMiB + between(-20, 20) * kMiB;
  }

  void add_figures(monitor::Step& step, int64_t tokens) {
    step.seconds = 2.0 + 0.01 * static_cast<double>(between(-20, 20));
    time_ += step.seconds;
    step.time = time_;
    step.elapsed_seconds = time_ - history_.starts.back().time;
    step.tokens_per_second = static_cast<double>(tokens) / step.seconds;
    step.epoch = static_cast<double>(step.step) / 300.0;
    step.loss = 2.0 / std::sqrt(static_cast<double>(step.step)) + 0.5;
    step.grad_norm = 1.0;
    step.learning_rate = 1e-4;
    tokens_total_ += tokens;
    step.tokens_total = tokens_total_;
  }

  void add_evaluation(int64_t step) {
    const monitor::Bytes peak = kLive + 900 * kMiB;
    history_.evaluations.push_back(
        {.step = step, .loss = 1.0, .perplexity = 2.7, .memory_peak = peak});
    reserved_ = std::max(reserved_, peak);
    time_ += 20.0;
  }

  std::mt19937_64 random_;
  monitor::RunHistory history_;
  monitor::Bytes reserved_ = 0;
  int64_t tokens_total_ = 0;
  double time_ = 1.7e9;
};

}  // namespace rung::testing
