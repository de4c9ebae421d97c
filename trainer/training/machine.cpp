#include "training/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/cores.h"
#include "base/error.h"
#include "base/units.h"
#include "memory/system_memory.h"
#include "ops/device.h"

namespace rung::training {
namespace {

// What is left to others where no limit is given. On a CPU examples, the tokenizer, kept blocks and
// the libraries' own memory are not counted; on a GPU kernels are loaded as they are first used.
int64_t reserve_of(const memory::Device& device, int64_t free) {
  const int64_t reserve = device.torch_device().is_cpu() ? int64_t{1} << 30 : int64_t{256} << 20;
  return std::min(reserve, free / 4);
}

constexpr const char* kCublasWorkspace = "CUBLAS_WORKSPACE_CONFIG";

struct LimitFault {
  std::string what;
  std::string expected;
  std::string hint;
};

[[noreturn]] void refuse_limit(const RunConfig& config, const LimitFault& fault) {
  throw Error(ExitCode::kDoesNotFit, {.what = fault.what,
                                      .got = format_bytes(config.memory_limit),
                                      .expected = fault.expected,
                                      .hint = fault.hint,
                                      .where = config.memory_limit_place});
}

}  // namespace

int64_t Machine::tensor_limit() const { return limit - device.overhead(); }

int64_t Machine::memory_left() const { return tensor_limit() - device.counter().usage().live; }

int64_t limit_on(const memory::Device& device, const RunConfig& config) {
  const bool on_cpu = device.torch_device().is_cpu();
  // On a GPU the limit is one of the whole process, what it has taken already included.
  const int64_t free = device.free_memory() + (on_cpu ? 0 : device.other());
  if (config.memory_limit == 0) return free - reserve_of(device, free);
  if (config.memory_limit > free) {
    refuse_limit(config, {.what = "memory_limit is above what is free",
                          .expected = fmt::format("at most {}", format_bytes(free)),
                          .hint = fmt::format("lower it, leave it out (then what is free is the "
                                              "limit), or free memory: {} lists who holds it",
                                              on_cpu ? "top" : "nvidia-smi")});
  }
  if (config.memory_limit <= device.overhead()) {
    refuse_limit(config,
                 {.what = "memory_limit leaves nothing for tensors",
                  .expected = fmt::format("more than the {} of the CUDA context and workspaces",
                                          format_bytes(device.overhead())),
                  .hint = "raise memory_limit"});
  }
  return config.memory_limit;
}

int64_t Machine::host_limit() const {
  if (device.torch_device().is_cpu()) return 0;
  const int64_t free = memory::available_memory();
  return free - reserve_of(memory::cpu_device(), free);
}

void make_deterministic() {
  setenv(kCublasWorkspace, ":4096:8", /*overwrite=*/1);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
}

Machine open_machine(const RunConfig& config) {
  if (config.deterministic) make_deterministic();
  const ops::OpenedDevice opened = ops::open_device(config.device);
  // Once a device is open ATen has asked for it (Context::alertCuBLASConfigNotDeterministic keeps
  // the answer), and cuBLAS's workspaces are there, no smaller than without it. While it is set
  // LibTorch 2.11 parses it with a regular expression at every product
  // (aten/src/ATen/cuda/CublasHandlePool.cpp), which takes longer than to launch one.
  if (config.deterministic) unsetenv(kCublasWorkspace);
  const int64_t num_threads = config.num_threads > 0 ? config.num_threads : available_cores();
  at::set_num_threads(static_cast<int>(num_threads));
  Machine machine{.device = opened.device,
                  .key = opened.device.torch_device().str(),
                  .why_not_cuda = opened.why_not_cuda,
                  .limit = limit_on(opened.device, config)};
  machine.device.set_limit(machine.limit);
  return machine;
}

RunConfig with_device(RunConfig config, const Machine& machine) {
  config.device = machine.key;
  return config;
}

c10::Device device_of(const RunConfig& config) {
  if (config.device == "auto") return c10::kCPU;
  if (config.device == "cuda") return {c10::kCUDA, 0};
  return c10::Device(config.device);
}

}  // namespace rung::training
