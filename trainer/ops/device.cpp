#include "ops/device.h"

#include <ATen/Context.h>
#include <dlfcn.h>

#include <charconv>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "ops/kernel_set.h"

namespace rung::ops {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPlugin = "librung_cuda.so";

Error refusal(const std::string& what, const std::string& got) {
  return Error(ExitCode::kConfig,
               {.what = what, .got = got, .hint = "set device: cpu, or device: auto"});
}

// Loading the plugin costs 0.1 s and 230 MiB; a look at the driver's library first costs nothing.
bool has_driver() {
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver != nullptr) dlclose(driver);
  return driver != nullptr;
}

// Never unloaded: it holds ATen's CUDA part. `wanted` is the device, for messages.
void* load_plugin(const std::string& wanted) {
  const std::optional<fs::path> path = find_cuda_plugin();
  if (!path) throw refusal("this is a CPU build, without librung_cuda.so", wanted);
  if (!has_driver()) throw refusal("there is no NVIDIA driver (libcuda.so.1)", wanted);
  void* plugin = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) {
    throw Error(
        ExitCode::kConfig,
        {.what = "librung_cuda.so cannot be loaded",
         .got = dlerror(),
         .hint = "scripts/bootstrap installs NVIDIA's libraries where there is a driver; or "
                 "set device: cpu"});
  }
  return plugin;
}

template <typename Function>
Function symbol(void* plugin, const char* name) {
  const auto function = reinterpret_cast<Function>(dlsym(plugin, name));
  if (function == nullptr) throw refusal("librung_cuda.so is not of this version", name);
  return function;
}

std::string name_of(int index) { return "cuda:" + std::to_string(index); }

// A product's parts are added up in fp32 and rounded once (ops/gemm.h). By ATen's default cuBLAS
// may round each part of a long sum to the result's 16 bits first, and an adapter's products are
// long and narrow, which is where it cuts sums into parts.
void keep_sums_in_fp32() {
  at::globalContext().setAllowBF16ReductionCuBLAS(false);
  at::globalContext().setAllowFP16ReductionCuBLAS(false);
}

memory::Device& open_cuda(int index) {
  keep_sums_in_fp32();
  void* plugin = load_plugin(name_of(index));
  memory::Device* device = symbol<memory::Device* (*)(int)>(plugin, "rung_cuda_open")(index);
  register_kernels(c10::kCUDA, symbol<const KernelSet* (*)()>(plugin, "rung_cuda_kernel_set")());
  return *device;
}

// The N of "cuda:N".
int index_of(std::string_view device) {
  constexpr std::string_view kPrefix = "cuda:";
  if (device == "cuda") return 0;
  int index = -1;
  const std::string_view digits = device.substr(std::min(kPrefix.size(), device.size()));
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  const bool whole = fault == std::errc() && end == digits.data() + digits.size();
  if (!device.starts_with(kPrefix) || !whole || index < 0) {
    throw Error(ExitCode::kConfig, {.what = "device is none that rung knows",
                                    .got = std::string(device),
                                    .expected = "auto, cpu, cuda or cuda:N"});
  }
  return index;
}

}  // namespace

std::optional<fs::path> find_cuda_plugin() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return std::nullopt;
  const fs::path folder = program.parent_path();
  for (const fs::path& path : {folder / kPlugin, folder.parent_path() / "lib" / kPlugin}) {
    if (fs::exists(path, error)) return path;
  }
  return std::nullopt;
}

OpenedDevice open_device(const std::string& device) {
  if (device == "cpu") return {memory::cpu_device(), {}};
  if (device != "auto") return {open_cuda(index_of(device)), {}};
  try {
    return {open_cuda(0), {}};
  } catch (const Error& error) {
    // What was found, where that is more than the name of the device.
    const ErrorParts& parts = error.parts();
    const bool found = !parts.got.empty() && parts.got != name_of(0);
    return {memory::cpu_device(), found ? parts.what + ": " + parts.got : parts.what};
  }
}

}  // namespace rung::ops
