#include "command/version.h"

#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include "base/version.h"
#include "ops/device.h"

namespace rung::command {
namespace {

// The plugin is not loaded for this: that needs NVIDIA's libraries, and takes a while.
std::string cuda_text() {
  if (std::string_view(kCudaBuild).empty()) return "CPU build";
  if (!ops::find_cuda_plugin()) return fmt::format("{}, but librung_cuda.so is absent", kCudaBuild);
  return kCudaBuild;
}

}  // namespace

std::string version_text() {
  return fmt::format("rung {} ({})\nLibTorch {}\n{}\n", kVersion, kCommit, TORCH_VERSION,
                     cuda_text());
}

}  // namespace rung::command
