// What `rung --version` prints.
#pragma once

#include <string>

namespace rung::command {

// Version, commit, LibTorch; CUDA and the architectures of librung_cuda.so where that lies beside
// the program or in
// ../lib, else that this is a CPU build.
std::string version_text();

}  // namespace rung::command
