#include "kernels/parallel.h"

#include <gtest/gtest.h>

#include <new>
#include <numeric>
#include <vector>

namespace rung::test {
namespace {

using kernels::cpu::parallel_for;
using kernels::cpu::parallel_tasks;
using kernels::cpu::ThreadScratch;

TEST(Parallel, RunsEveryTaskOnce) {
  std::vector<int> runs(37);
  const ThreadScratch<int> scratch(37, [] { return 1; });
  parallel_tasks(37, scratch,
                 [&](int64_t task, int one) { runs[static_cast<size_t>(task)] += one; });
  EXPECT_EQ(runs, std::vector<int>(37, 1));
}

TEST(Parallel, RunsEveryTaskOnceWithoutScratch) {
  std::vector<int> runs(37);
  parallel_tasks(37, [&](int64_t task) { ++runs[static_cast<size_t>(task)]; });
  EXPECT_EQ(runs, std::vector<int>(37, 1));
}

TEST(Parallel, ThrowsWhenScratchCannotBeAllocated) {
  const auto fail = []() -> int { throw std::bad_alloc(); };
  EXPECT_THROW(ThreadScratch<int>(8, fail), std::bad_alloc);
}

TEST(Parallel, CutsARangeWhereTheGrainSays) {
  std::vector<int64_t> begins(4, -1);
  parallel_for(10, 3, [&](int64_t begin, int64_t end) {
    begins[static_cast<size_t>(begin / 3)] = begin;
    EXPECT_EQ(end, std::min<int64_t>(begin + 3, 10));
  });
  EXPECT_EQ(begins, (std::vector<int64_t>{0, 3, 6, 9}));
}

TEST(Parallel, DoesNothingForAnEmptyRange) {
  parallel_for(0, 3, [](int64_t, int64_t) { ADD_FAILURE(); });
  const ThreadScratch<int> scratch(0, [] { return 0; });
  parallel_tasks(0, scratch, [](int64_t, int) { ADD_FAILURE(); });
  parallel_tasks(0, [](int64_t) { ADD_FAILURE(); });
}

}  // namespace
}  // namespace rung::test
