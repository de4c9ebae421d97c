// Loops over ranges with OpenMP's threads.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace rung::kernels::cpu {

// Calls body(begin, end) for consecutive pieces of [0, count) of at most `grain` items each, on
// several threads where there is more than one piece. The pieces do not depend on the number of
// threads. body must not throw.
template <typename Body>
void parallel_for(int64_t count, int64_t grain, const Body& body) {
  const int64_t num_pieces = (count + grain - 1) / grain;
#pragma omp parallel for schedule(static) if (num_pieces > 1)
  for (int64_t piece = 0; piece < num_pieces; ++piece) {
    body(piece * grain, std::min((piece + 1) * grain, count));
  }
}

inline int max_threads() { return omp_get_max_threads(); }

// For tasks of unequal cost: calls body(task, scratch) for every task in [0, count), handed out one
// by one in order, so costly ones should come first. Each thread makes its scratch once.
template <typename MakeScratch, typename Body>
void parallel_tasks(int64_t count, const MakeScratch& make_scratch, const Body& body) {
#pragma omp parallel if (count > 1)
  {
    const auto scratch = make_scratch();
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < count; ++task) body(task, scratch);
  }
}

// Rows that make a piece worth a thread's while: about 32 Ki elements.
inline int64_t rows_per_piece(int64_t elements_per_row) {
  return std::max<int64_t>(1, 32768 / std::max<int64_t>(1, elements_per_row));
}

}  // namespace rung::kernels::cpu
