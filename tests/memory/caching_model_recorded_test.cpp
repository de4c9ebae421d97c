// The model against LibTorch's allocator itself, over random sequences: every figure after every
// call.
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <iterator>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "tests/support/allocator_recording.h"

namespace rung::memory {
namespace {

using rung::testing::AllocatorAnswer;
using rung::testing::AllocatorCall;
using Kind = AllocatorCall::Kind;

constexpr int64_t kMiB = int64_t{1} << 20;

struct Sizes {
  std::string name;
  std::function<int64_t(const CounterRandom&, uint64_t draw)> draw;  // bytes
};

int64_t between(const CounterRandom& random, uint64_t counter, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random.below(counter, static_cast<uint64_t>(high - low + 1)));
}

// 1 byte to 64 MiB, so that all rules meet.
int64_t log_uniform(const CounterRandom& random, uint64_t draw) {
  return between(random, 2 * draw + 1, 1, int64_t{1} << random.below(2 * draw, 27));
}

// Within 1 KiB of where a rule changes.
int64_t at_a_boundary(const CounterRandom& random, uint64_t draw) {
  constexpr int64_t kBoundaries[] = {2048,      kMiB,      2 * kMiB,  10 * kMiB, 18 * kMiB,
                                     20 * kMiB, 32 * kMiB, 33 * kMiB, 40 * kMiB, 53 * kMiB};
  return kBoundaries[random.below(2 * draw, std::size(kBoundaries))] +
         between(random, 2 * draw + 1, -1024, 1024);
}

// Few different sizes, as of a model's tensors: free blocks of equal size are many.
int64_t of_a_model(const CounterRandom& random, uint64_t draw) {
  constexpr int64_t kSizes[] = {4096, 65536, kMiB / 2, 2 * kMiB, 8 * kMiB, 12 * kMiB, 28 * kMiB};
  return kSizes[random.below(draw, std::size(kSizes))];
}

int64_t large(const CounterRandom& random, uint64_t draw) {
  return between(random, draw, 10 * kMiB, 120 * kMiB);
}

int64_t small(const CounterRandom& random, uint64_t draw) { return between(random, draw, 1, kMiB); }

// Waves: more is allocated than freed, then the other way round.
std::vector<AllocatorCall> random_calls(const Sizes& sizes, uint64_t seed, size_t count) {
  const CounterRandom random(seed, 0);
  const CounterRandom of_sizes(seed, 1);
  std::vector<AllocatorCall> calls;
  std::vector<uint64_t> ids;  // allocated and not freed, whether they fit or not
  for (uint64_t step = 0; calls.size() < count; ++step) {
    const bool growing = step / 250 % 2 == 0;
    if (ids.empty() || random.below(3 * step, 10) < (growing ? 7u : 3u)) {
      const uint64_t stream = random.below(3 * step + 1, 8);
      calls.push_back({.kind = Kind::kAllocate,
                       .id = step,
                       .bytes = sizes.draw(of_sizes, step),
                       .stream = stream > 2 ? 0 : static_cast<int64_t>(64 * stream)});
      ids.push_back(step);
    } else {
      const size_t at = random.below(3 * step + 1, ids.size());
      calls.push_back({.kind = Kind::kFree, .id = ids[at]});
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at));
    }
    const uint64_t other = random.below(3 * step + 2, 300);
    if (other == 0) calls.push_back({.kind = Kind::kReleaseCached});
    if (other == 1) calls.push_back({.kind = Kind::kResetPeaks});
  }
  for (const uint64_t id : ids) calls.push_back({.kind = Kind::kFree, .id = id});
  calls.push_back({.kind = Kind::kReleaseCached});
  return calls;
}

struct Options {
  std::string name;
  CachingOptions options;
};

// What a failed test shows of its parameters.
std::ostream& operator<<(std::ostream& out, const Sizes& sizes) { return out << sizes.name; }
std::ostream& operator<<(std::ostream& out, const Options& options) { return out << options.name; }

class CachingModelRecorded : public ::testing::TestWithParam<std::tuple<Sizes, Options>> {};

TEST_P(CachingModelRecorded, AnswersWhatLibTorchAnswers) {
  const auto& [sizes, options] = GetParam();
  for (uint64_t seed = 0; seed < 2; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<AllocatorCall> calls = random_calls(sizes, seed, 2000);
    const std::vector<AllocatorAnswer> recorded =
        rung::testing::record_allocator(calls, options.options);
    ASSERT_NO_FATAL_FAILURE(rung::testing::expect_model_answers(calls, recorded, options.options));
  }
}

constexpr SegmentKind kExpandable = SegmentKind::kExpandable;

INSTANTIATE_TEST_SUITE_P(
    Random, CachingModelRecorded,
    ::testing::Combine(
        ::testing::Values(Sizes{"LogUniform", log_uniform}, Sizes{"AtABoundary", at_a_boundary},
                          Sizes{"OfAModel", of_a_model}, Sizes{"Large", large},
                          Sizes{"Small", small}),
        ::testing::Values(
            Options{"Fixed", {}}, Options{"FixedLimit", {.limit = 300 * kMiB}},
            Options{"FixedOddLimit", {.limit = 90 * kMiB + 12345}},
            Options{"MaxSplit", {.max_split_size = 20 * kMiB}},
            Options{"MaxSplitLimit", {.limit = 300 * kMiB, .max_split_size = 33 * kMiB}},
            Options{"Expandable", {.segments = kExpandable}},
            Options{"ExpandableLimit", {.segments = kExpandable, .limit = 300 * kMiB}},
            Options{"ExpandableOddLimit", {.segments = kExpandable, .limit = 90 * kMiB + 12345}},
            Options{"ExpandableMaxSplit",
                    {.segments = kExpandable, .limit = 300 * kMiB, .max_split_size = 32 * kMiB}})),
    [](const auto& test_case) {
      return std::get<0>(test_case.param).name + std::get<1>(test_case.param).name;
    });

}  // namespace
}  // namespace rung::memory
