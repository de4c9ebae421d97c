// What librung_cuda.so carries; to know it takes neither driver nor GPU.
#pragma once

#include <vector>

// Compute capabilities that machine code is carried for, ascending, as in 80, 86, 120; for the last
// one PTX as well.
std::vector<int> kernel_architectures();
