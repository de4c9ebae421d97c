#include "command/version.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "base/version.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPlugin = "librung_cuda.so";

// The build puts the plugin beside the program, an installed tree into ../lib.
std::optional<fs::path> find_plugin() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return std::nullopt;
  const fs::path folder = program.parent_path();
  for (const fs::path& path : {folder / kPlugin, folder.parent_path() / "lib" / kPlugin}) {
    if (fs::exists(path, error)) return path;
  }
  return std::nullopt;
}

std::string cuda_text() {
  const std::optional<fs::path> path = find_plugin();
  if (!path) return "CPU build";
  const std::unique_ptr<void, int (*)(void*)> plugin(dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL),
                                                     &dlclose);
  if (!plugin) return fmt::format("{} cannot be loaded: {}", kPlugin, dlerror());
  using Text = const char* (*)();
  const auto version = reinterpret_cast<Text>(dlsym(plugin.get(), "rung_cuda_version"));
  const auto architectures = reinterpret_cast<Text>(dlsym(plugin.get(), "rung_cuda_architectures"));
  if (version == nullptr || architectures == nullptr) {
    return fmt::format("{} is not of this version", kPlugin);
  }
  return fmt::format("CUDA {} kernels for {}", version(), architectures());
}

}  // namespace

std::string version_text() {
  return fmt::format("rung {} ({})\nLibTorch {}\n{}\n", kVersion, kCommit, TORCH_VERSION,
                     cuda_text());
}

}  // namespace rung::command
