// A GPU as a memory::Device.
#pragma once

#include "memory/device.h"

namespace rung::cuda {

// Makes GPU `index` the current device of this process and returns it; once a process. Throws Error
// kConfig where it cannot be used (cuda/device_checks.h), kDoesNotFit where its memory is full.
memory::Device& open_device(int index);

}  // namespace rung::cuda
