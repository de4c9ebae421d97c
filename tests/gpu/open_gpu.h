// The GPU of a test program, opened before anything asks ATen whether there is one: its first
// answer stays.
#pragma once

#include <gtest/gtest.h>

#include "memory/device.h"
#include "ops/device.h"

namespace rung::testing {

inline memory::Device& gpu() {
  static memory::Device& device = ops::open_device("cuda").device;
  return device;
}

class OpenGpu : public ::testing::Environment {
 public:
  void SetUp() override { gpu(); }
};

inline ::testing::Environment* const kOpenGpu = ::testing::AddGlobalTestEnvironment(new OpenGpu);

}  // namespace rung::testing
