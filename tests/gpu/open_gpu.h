// The GPU of a test program, opened before anything asks ATen whether there is one: its first
// answer stays.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "memory/device.h"
#include "ops/device.h"
#include "training/machine.h"

namespace rung::testing {

inline memory::Device& gpu() {
  static memory::Device& device = ops::open_device("cuda").device;
  return device;
}

// A suite whose sums have a fixed order. That is settled before the GPU is opened, for the whole
// process, and so only where no other suite is chosen; else its tests are passed over.
inline constexpr const char* kDeterministicSuite = "DeterministicOnGpu";

inline bool runs_deterministic_suite_alone() {
  const auto& all = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const ::testing::TestSuite& suite = *all.GetTestSuite(i);
    if (suite.should_run() && std::string_view(suite.name()) != kDeterministicSuite) return false;
  }
  return true;
}

class OpenGpu : public ::testing::Environment {
 public:
  void SetUp() override {
    if (runs_deterministic_suite_alone()) training::make_deterministic();
    gpu();
  }
};

inline ::testing::Environment* const kOpenGpu = ::testing::AddGlobalTestEnvironment(new OpenGpu);

}  // namespace rung::testing
