#include "command/version.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "base/version.h"
#include "ops/device.h"

namespace rung::command {
namespace {

std::string cuda_text() {
  const std::optional<std::filesystem::path> path = ops::find_cuda_plugin();
  if (!path) return "CPU build";
  // Never closed: what it brings registers itself with LibTorch.
  void* plugin = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) return fmt::format("librung_cuda.so cannot be loaded: {}", dlerror());
  using Text = const char* (*)();
  const auto version = reinterpret_cast<Text>(dlsym(plugin, "rung_cuda_version"));
  const auto architectures = reinterpret_cast<Text>(dlsym(plugin, "rung_cuda_architectures"));
  if (version == nullptr || architectures == nullptr) {
    return "librung_cuda.so is not of this version";
  }
  return fmt::format("CUDA {} kernels for {}", version(), architectures());
}

}  // namespace

std::string version_text() {
  return fmt::format("rung {} ({})\nLibTorch {}\n{}\n", kVersion, kCommit, TORCH_VERSION,
                     cuda_text());
}

}  // namespace rung::command
