// From the configuration's `device` to a device that computes.
//
// CUDA lives in a plugin, librung_cuda.so, which is loaded when it is first asked for: without it
// the program starts faster, takes a third of the memory, and runs where there is no driver.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "memory/device.h"

namespace rung::ops {

// Where the plugin lies: beside the program (a build), or in ../lib (an installed tree).
std::optional<std::filesystem::path> find_cuda_plugin();

struct OpenedDevice {
  memory::Device& device;
  std::string why_not_cuda;  // "auto" on the CPU: the reason, one line
};

// `device`: "auto", "cpu", "cuda" or "cuda:N". CUDA must be opened before anything else asks ATen
// whether there is a GPU (a backward pass, a seed), which would settle that there is none. Throws
// Error kConfig where the device that is named cannot be used, kDoesNotFit where it is full.
OpenedDevice open_device(const std::string& device);

}  // namespace rung::ops
