// Rows by index on the CPU: split over threads, a memcpy each.
#include "kernels/rows.h"

#include <cstddef>
#include <cstring>

#include "kernels/parallel.h"

namespace rung::kernels::cpu {

namespace {

// As many bytes as a piece of floats has.
int64_t grain(int64_t row_bytes) { return rows_per_piece(row_bytes / 4); }

}  // namespace

void rows_gather(const void* table, int64_t row_bytes, const int32_t* index, int64_t count,
                 void* out) {
  const auto* from = static_cast<const std::byte*>(table);
  auto* to = static_cast<std::byte*>(out);
  parallel_for(count, grain(row_bytes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(to + i * row_bytes, from + index[i] * row_bytes, static_cast<size_t>(row_bytes));
    }
  });
}

void rows_scatter(const void* rows, int64_t row_bytes, const int32_t* index, int64_t count,
                  void* target) {
  const auto* from = static_cast<const std::byte*>(rows);
  auto* to = static_cast<std::byte*>(target);
  parallel_for(count, grain(row_bytes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::memcpy(to + index[i] * row_bytes, from + i * row_bytes, static_cast<size_t>(row_bytes));
    }
  });
}

}  // namespace rung::kernels::cpu
