// A GPU as a memory::Device.
#pragma once

#include "memory/device.h"

namespace rung::cuda {

// Makes GPU `index` the current device of this process and returns it; once a process. Throws Error
// kConfig where there is no driver or it is too old, no such GPU, or none of the kernels runs on
// it.
memory::Device& open_device(int index);

}  // namespace rung::cuda
