// The peak of tensor memory in each phase of a run.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "memory/counting_allocator.h"

namespace rung::training {

class PhasePeaks {
 public:
  explicit PhasePeaks(std::string phase) : phase_(std::move(phase)) {
    memory::cpu_counter().reset_peak();
  }

  // Ends the current phase and begins `phase`; a phase may be entered again and again.
  void enter(std::string phase) {
    close();
    phase_ = std::move(phase);
    memory::cpu_counter().reset_peak();
  }

  // Bytes by phase, the current one included.
  std::map<std::string, int64_t> finish() {
    close();
    return peaks_;
  }

 private:
  void close() {
    int64_t& peak = peaks_[phase_];
    peak = std::max(peak, memory::cpu_counter().usage().peak);
  }

  std::string phase_;
  std::map<std::string, int64_t> peaks_;
};

}  // namespace rung::training
