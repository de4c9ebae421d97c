// A GPU in the place of the emulated device: the kernels' tests, linked with this and the kernels
// that nvcc compiled, run on it. Schedules have no meaning here, so there is one.
#include "tests/support/emulation/device.h"

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "tests/support/emulation/schedules.h"

namespace rung::emulation {

namespace {

// The order in which tests also run what takes seconds on the emulated device.
constexpr Schedule kOnly[] = {{Order::kReverse}};

}  // namespace

constinit const std::span<const Schedule> kSchedules = kOnly;

Device::Device(Schedule schedule, Memory memory) : schedule_(schedule), memory_(memory) {}

// What a kernel did wrong is told by the next call that waits for it.
Device::~Device() {
  const cudaError_t status = cudaDeviceSynchronize();
  if (status == cudaSuccess) return;
  // Nothing that runs behind a fault means anything.
  (void)std::fprintf(stderr, "GPU fault: %s\n", cudaGetErrorString(status));
  std::abort();
}

// The default stream. Launches are made synchronous (CUDA_LAUNCH_BLOCKING=1, scripts/gpu_check), so
// that tests can read results as they do from the emulated device.
void* Device::handle() { return nullptr; }

bool Device::launched(int64_t) const { return true; }

void Device::run(const Launch&, const std::function<void()>&) {
  throw std::logic_error("a GPU runs kernels, not functions");
}

}  // namespace rung::emulation
