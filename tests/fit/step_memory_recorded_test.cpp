// The model of LibTorch's CUDA allocator against the allocator itself, over the allocations of
// whole training steps.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "memory/counting_allocator.h"
#include "tests/fit/step_shapes.h"
#include "tests/support/allocator_recording.h"
#include "tests/support/counting.h"

namespace rung::fit {
namespace {

using rung::testing::AllocatorCall;
using rung::testing::SegmentOrder;

class Calls final : public memory::AllocationObserver {
 public:
  void allocated(uint64_t id, int64_t bytes) override {
    calls_.push_back({.kind = AllocatorCall::Kind::kAllocate, .id = id, .bytes = bytes});
  }
  void freed(uint64_t id) override {
    calls_.push_back({.kind = AllocatorCall::Kind::kFree, .id = id});
  }
  std::vector<AllocatorCall> take() { return std::move(calls_); }

 private:
  std::vector<AllocatorCall> calls_;
};

// Building the model and one step.
std::vector<AllocatorCall> calls_of(const StepShape& shape) {
  Calls calls;
  const memory::MetaObservation observation(calls);
  step_memory(shape);
  return calls.take();
}

struct Case {
  std::string name;
  StepShape (*shape)();
  int64_t num_recomputed;
};

StepShape tiny() {
  constexpr int64_t kLayers = 6;
  const rung::testing::TinyFolder folder(rung::testing::deep_llama(kLayers));
  return {.config = folder.config(),
          .model = {.compute = c10::kBFloat16, .max_positions = 128},
          .adapter = {.r = 4, .dropout = 0.1, .modules = rung::testing::all_linears(kLayers)},
          .batch = rung::testing::batch({100, 60})};
}

class StepMemoryRecorded : public ::testing::TestWithParam<Case> {
 protected:
  std::vector<AllocatorCall> calls() const {
    StepShape shape = GetParam().shape();
    shape.model.stands_for = c10::kCUDA;
    shape.memory.num_recomputed = GetParam().num_recomputed;
    return calls_of(shape);
  }
};

// Without a limit, with one that the tensors fill to the last byte, and with one that they pass.
TEST_P(StepMemoryRecorded, TheModelAnswersWhatLibTorchAnswers) {
  const std::vector<AllocatorCall> calls = this->calls();
  for (const auto segments : {memory::SegmentKind::kFixed, memory::SegmentKind::kExpandable}) {
    const auto compare = [&](int64_t limit) {
      SCOPED_TRACE("limit " + std::to_string(limit));
      const memory::CachingOptions options{.segments = segments, .limit = limit};
      const auto recorded = rung::testing::record_allocator(calls, options);
      rung::testing::expect_model_answers(calls, recorded, options);
      return recorded.back().stats;
    };
    const memory::CachingStats free = compare(0);
    EXPECT_EQ(free.num_retries, 0);
    EXPECT_GT(compare(free.allocated_peak).num_retries, 0);
    EXPECT_GT(compare(free.allocated_peak / 10 * 9).num_failures, 0);
  }
}

// The model has new segments above all others; where the driver puts them is not known.
TEST_P(StepMemoryRecorded, WhereTheDriverPlacesSegmentsHardlyMatters) {
  const std::vector<AllocatorCall> calls = this->calls();
  for (const auto segments : {memory::SegmentKind::kFixed, memory::SegmentKind::kExpandable}) {
    const auto reserved = [&](SegmentOrder order) {
      const auto recorded = rung::testing::record_allocator(calls, {.segments = segments}, order);
      return static_cast<double>(recorded.back().stats.reserved_peak);
    };
    const double upwards = reserved(SegmentOrder::kUpwards);
    EXPECT_NEAR(reserved(SegmentOrder::kDownwards), upwards, 0.01 * upwards);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, StepMemoryRecorded,
                         ::testing::Values(Case{"Tiny", tiny, 0}, Case{"TinyRecomputed", tiny, 6},
                                           Case{"Of8B", rung::testing::shape_of_8b, 0},
                                           Case{"Of8BHalfRecomputed", rung::testing::shape_of_8b,
                                                16},
                                           Case{"Of8BRecomputed", rung::testing::shape_of_8b, 32}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace rung::fit
