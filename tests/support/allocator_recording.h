// Sequences of calls to LibTorch's CUDA caching allocator, what it answers (recorded from the
// library itself by rung_record_allocator, tests/allocator), and the comparison of
// memory::CachingModel with that.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "memory/caching_model.h"
#include "tests/support/temp_dir.h"

namespace rung::testing {

struct AllocatorCall {
  enum class Kind : uint8_t { kAllocate, kFree, kReleaseCached, kResetPeaks };
  Kind kind;
  uint64_t id = 0;
  int64_t bytes = 0;
  int64_t stream = 0;
};

struct AllocatorAnswer {
  bool fits = true;  // of an allocation
  memory::CachingStats stats;
  int64_t device_used = 0;  // bytes that the allocator holds of the device
};

// Where the driver places new segments (tests/allocator/fake_cuda.h).
enum class SegmentOrder : uint8_t { kUpwards, kDownwards };

inline std::string text_of(const std::vector<AllocatorCall>& calls) {
  std::ostringstream text;
  for (const AllocatorCall& call : calls) {
    switch (call.kind) {
      case AllocatorCall::Kind::kAllocate:
        text << "+ " << call.id << ' ' << call.bytes << ' ' << call.stream << '\n';
        break;
      case AllocatorCall::Kind::kFree:
        text << "- " << call.id << '\n';
        break;
      case AllocatorCall::Kind::kReleaseCached:
        text << "release\n";
        break;
      case AllocatorCall::Kind::kResetPeaks:
        text << "reset\n";
        break;
    }
  }
  return text.str();
}

// LibTorch's own spelling of the options, but for the limit.
inline std::string settings_of(const memory::CachingOptions& options) {
  std::string settings;
  if (options.segments == memory::SegmentKind::kExpandable) {
    settings = "expandable_segments:True";
  }
  if (options.max_split_size != memory::CachingOptions{}.max_split_size) {
    settings += (settings.empty() ? "" : ",");
    settings += "max_split_size_mb:" + std::to_string(options.max_split_size >> 20);
  }
  return settings.empty() ? "-" : settings;
}

// What LibTorch's allocator answers, one for each call.
inline std::vector<AllocatorAnswer> record_allocator(const std::vector<AllocatorCall>& calls,
                                                     const memory::CachingOptions& options,
                                                     SegmentOrder order = SegmentOrder::kUpwards) {
  const TempDir dir;
  const std::string in = dir.write("calls", text_of(calls));
  const std::string out = dir / "answers";
  const std::string command = std::string(RUNG_RECORD_ALLOCATOR " ") + settings_of(options) + " " +
                              std::to_string(options.limit) +
                              (order == SegmentOrder::kUpwards ? " above <" : " below <") + in +
                              " >" + out;
  if (std::system(command.c_str()) != 0) throw std::runtime_error("failed: " + command);
  std::ifstream file(out);
  std::vector<AllocatorAnswer> answers;
  AllocatorAnswer next;
  memory::CachingStats& stats = next.stats;
  while (file >> next.fits >> stats.reserved >> stats.reserved_peak >> stats.allocated >>
         stats.allocated_peak >> stats.inactive_split >> stats.num_segments >> stats.num_retries >>
         stats.num_failures >> next.device_used) {
    answers.push_back(next);
  }
  if (answers.size() != calls.size()) throw std::runtime_error("not one answer a call: " + command);
  return answers;
}

inline AllocatorAnswer answer_of(memory::CachingModel& model, const AllocatorCall& call) {
  AllocatorAnswer answer;
  switch (call.kind) {
    case AllocatorCall::Kind::kAllocate:
      answer.fits = model.allocate(call.id, call.bytes, call.stream);
      break;
    case AllocatorCall::Kind::kFree:
      model.free(call.id);
      break;
    case AllocatorCall::Kind::kReleaseCached:
      model.release_cached();
      break;
    case AllocatorCall::Kind::kResetPeaks:
      model.reset_peaks();
      break;
  }
  answer.stats = model.stats();
  answer.device_used = answer.stats.reserved;
  return answer;
}

// Every figure after every call; LibTorch does not count expandable segments.
inline void expect_model_answers(const std::vector<AllocatorCall>& calls,
                                 const std::vector<AllocatorAnswer>& recorded,
                                 const memory::CachingOptions& options) {
  memory::CachingModel model(options);
  for (size_t i = 0; i < calls.size(); ++i) {
    const AllocatorAnswer answer = answer_of(model, calls[i]);
    const AllocatorAnswer& expected = recorded[i];
    SCOPED_TRACE("call " + std::to_string(i) + ": " + text_of({calls[i]}));
    ASSERT_EQ(answer.fits, expected.fits);
    ASSERT_EQ(answer.stats.reserved, expected.stats.reserved);
    ASSERT_EQ(answer.stats.reserved_peak, expected.stats.reserved_peak);
    ASSERT_EQ(answer.stats.allocated, expected.stats.allocated);
    ASSERT_EQ(answer.stats.allocated_peak, expected.stats.allocated_peak);
    ASSERT_EQ(answer.stats.inactive_split, expected.stats.inactive_split);
    ASSERT_EQ(answer.stats.num_retries, expected.stats.num_retries);
    ASSERT_EQ(answer.stats.num_failures, expected.stats.num_failures);
    ASSERT_EQ(answer.device_used, expected.device_used);
    if (options.segments == memory::SegmentKind::kFixed) {
      ASSERT_EQ(answer.stats.num_segments, expected.stats.num_segments);
    }
  }
}

}  // namespace rung::testing
