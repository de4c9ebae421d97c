// The peak of tensor memory in each phase of a run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "memory/counter.h"

namespace rung::training {

class PhasePeaks {
 public:
  // counter: of the run's device; outlives this.
  PhasePeaks(memory::Counter& counter, std::string phase)
      : counter_(counter), phase_(std::move(phase)) {
    counter_.reset_peak();
  }

  // Ends the current phase and begins `phase`; a phase may be entered again and again.
  void enter(std::string phase) {
    close();
    phase_ = std::move(phase);
    counter_.reset_peak();
  }

  // What is tried again in the current phase: the counter's peak is that of the next attempt, while
  // the phase keeps that of this one.
  void again() {
    close();
    counter_.reset_peak();
  }

  // Bytes by phase, the current one included.
  std::map<std::string, int64_t> finish() {
    close();
    return peaks_;
  }

 private:
  void close() {
    int64_t& peak = peaks_[phase_];
    peak = std::max(peak, counter_.usage().peak);
  }

  memory::Counter& counter_;
  std::string phase_;
  std::map<std::string, int64_t> peaks_;
};

}  // namespace rung::training
