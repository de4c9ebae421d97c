// The version of this build; the values come from CMake (cmake/Version.cmake).
#pragma once

namespace rung {

extern const char* const kVersion;  // "0.1.0"
extern const char* const kCommit;   // git commit, "unknown" outside a checkout
// "CUDA 13.0 kernels for sm_80 sm_90" of the plugin built beside it; empty: a CPU build
extern const char* const kCudaBuild;

}  // namespace rung
