// Pinned memory, and copies on a stream of their own.
#pragma once

#include "memory/transfers.h"

namespace rung::cuda {

// Of the current device, which is initialised. Once a process.
memory::Transfers& open_transfers();

}  // namespace rung::cuda
