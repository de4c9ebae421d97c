// The one figure that CUDA does not tell before it has taken memory itself: what is used on a GPU.
//
// NVML comes with the driver (libnvidia-ml.so.1) and is opened at run time; where it is absent
// there is no figure. Source: the NVML API reference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace rung::cuda {

// Bytes in use by all processes on the GPU with this PCI bus id ("0000:3B:00.0").
std::optional<int64_t> memory_used(const std::string& pci_bus_id);

}  // namespace rung::cuda
