#include "training/gpu_limit.h"

#include <algorithm>

namespace rung::training {

int64_t tensor_limit_on(const fit::Gpu& gpu, const RunConfig& config) {
  const int64_t process =
      config.memory_limit > 0 ? std::min(config.memory_limit, gpu.memory) : gpu.memory;
  return std::max<int64_t>(0, process - kAssumedCudaOverhead);
}

}  // namespace rung::training
