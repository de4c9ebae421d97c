// Loops over ranges with OpenMP's threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/ceil_div.h"

namespace rung::kernels::cpu {

// Calls body(begin, end) for consecutive pieces of [0, count) of at most `grain` items each, on
// several threads where there is more than one piece. The pieces do not depend on the number of
// threads. body must not throw.
template <typename Body>
void parallel_for(int64_t count, int64_t grain, const Body& body) {
  const int64_t num_pieces = ceil_div(count, grain);
#pragma omp parallel for schedule(static) if (num_pieces > 1)
  for (int64_t piece = 0; piece < num_pieces; ++piece) {
    body(piece * grain, std::min((piece + 1) * grain, count));
  }
}

inline int max_threads() { return omp_get_max_threads(); }

// A Scratch for each thread of a parallel region. All are made before the threads start: an
// exception out of a region, say of an allocation, would end the process.
template <typename Scratch>
class ThreadScratch {
 public:
  // For a region that shares num_tasks tasks; make() returns a Scratch.
  template <typename Make>
  ThreadScratch(int64_t num_tasks, const Make& make) {
    const int64_t num_threads = std::clamp<int64_t>(num_tasks, 1, max_threads());
    for (int64_t i = 0; i < num_threads; ++i) scratches_.emplace_back(new Scratch(make()));
  }

  int num_threads() const { return static_cast<int>(scratches_.size()); }
  // The calling thread's, in a region of at most num_threads() threads.
  const Scratch& mine() const { return *scratches_[static_cast<size_t>(omp_get_thread_num())]; }

 private:
  std::vector<std::unique_ptr<Scratch>> scratches_;
};

// For tasks of unequal cost: calls body(task, scratch) for every task in [0, count), handed out one
// by one in order, so costly ones should come first. body must not throw.
template <typename Scratch, typename Body>
void parallel_tasks(int64_t count, const ThreadScratch<Scratch>& scratch, const Body& body) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(scratch.num_threads())
  for (int64_t task = 0; task < count; ++task) body(task, scratch.mine());
}

// The same for tasks that need no scratch of their own.
template <typename Body>
void parallel_tasks(int64_t count, const Body& body) {
#pragma omp parallel for schedule(dynamic, 1) if (count > 1)
  for (int64_t task = 0; task < count; ++task) body(task);
}

// Rows that make a piece worth a thread's while: about 32 Ki elements.
inline int64_t rows_per_piece(int64_t elements_per_row) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, elements_per_row));
}

}  // namespace rung::kernels::cpu
