// Counting allocators installed before the first tensor of a test program, one thread, and the
// bytes that a piece of code takes.
#pragma once

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <functional>
#include <iomanip>
#include <ostream>

#include "memory/counting_allocator.h"

namespace rung::testing {

class CountingAllocators : public ::testing::Environment {
 public:
  void SetUp() override {
    memory::install_counting_allocators();
    at::set_num_threads(1);
  }
};

inline ::testing::Environment* const kCountingAllocators =
    ::testing::AddGlobalTestEnvironment(new CountingAllocators);

// What was added to a counter: by the end, at the highest, and to each component at that moment.
struct Taken {
  int64_t live = 0;
  int64_t peak = 0;
  memory::ByComponent live_by_component{};
  memory::ByComponent at_peak{};

  bool operator==(const Taken&) const = default;
};

// Lists the components, so that a failed comparison says which differs.
inline std::ostream& operator<<(std::ostream& out, const Taken& taken) {
  out << "live " << taken.live << ", peak " << taken.peak;
  for (size_t i = 0; i < memory::kNumComponents; ++i) {
    if (taken.live_by_component[i] == 0 && taken.at_peak[i] == 0) continue;
    out << "\n  " << std::left << std::setw(14)
        << memory::name_of(static_cast<memory::Component>(i)) << std::right << " live "
        << std::setw(9) << taken.live_by_component[i] << ", at the peak " << std::setw(9)
        << taken.at_peak[i];
  }
  return out;
}

// Counts `counter` from the construction on. kLibrary is left out: the meta device has none.
class Measured {
 public:
  explicit Measured(memory::Counter& counter) : counter_(counter) {
    counter_.reset_peak();
    before_ = counter_.usage();
  }

  Taken taken() const {
    const memory::Usage now = counter_.usage();
    Taken result{.live = now.live - before_.live, .peak = now.peak - before_.live};
    for (size_t i = 0; i < memory::kNumComponents; ++i) {
      if (static_cast<memory::Component>(i) == memory::Component::kLibrary) continue;
      result.live_by_component[i] = now.live_by_component[i] - before_.live_by_component[i];
      result.at_peak[i] = now.at_peak[i] - before_.live_by_component[i];
    }
    return result;
  }

 private:
  memory::Counter& counter_;
  memory::Usage before_;
};

inline Taken taken_by(memory::Counter& counter, const std::function<void()>& action) {
  const Measured measured(counter);
  action();
  return measured.taken();
}

}  // namespace rung::testing
