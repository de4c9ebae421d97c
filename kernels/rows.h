// Picking and placing whole rows by index: embedding lookup, the supervised tokens of a batch. Rows
// are bytes; what they hold does not matter.
//
// Pointers are host memory in cpu:: and device memory in cuda::, the indices included. The CUDA
// launchers queue work on `stream` and return. Nothing here allocates. That every index lies inside
// the table is the caller's business; operands do not overlap.
#pragma once

#include <cstdint>

#include "kernels/dtype.h"

namespace rung::kernels {

namespace cpu {

// Given table [n, row_bytes] and index [count], sets out [count, row_bytes]:
// out[i] = table[index[i]].
void rows_gather(const void* table, int64_t row_bytes, const int32_t* index, int64_t count,
                 void* out);

// Given rows [count, row_bytes] and index [count], all different, sets those rows of
// target [n, row_bytes]: target[index[i]] = rows[i]. Leaves the others.
void rows_scatter(const void* rows, int64_t row_bytes, const int32_t* index, int64_t count,
                  void* target);

}  // namespace cpu

// Fast where row_bytes is a multiple of 16 and operands are aligned to 16 bytes; all others are
// moved byte by byte. Throw std::invalid_argument beyond 10^9 rows or 10^8 bytes a row.
namespace cuda {

// As cpu::rows_gather.
void rows_gather(const void* table, int64_t row_bytes, const int32_t* index, int64_t count,
                 void* out, Stream stream);

// As cpu::rows_scatter.
void rows_scatter(const void* rows, int64_t row_bytes, const int32_t* index, int64_t count,
                  void* target, Stream stream);

}  // namespace cuda
}  // namespace rung::kernels
