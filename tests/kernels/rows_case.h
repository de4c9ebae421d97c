// A table, distinct indices into it and rows to place there, and what gathering and scattering make
// of them: the loops, byte by byte.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace rung::testing {

struct RowsCase {
  RowsCase(int64_t table_rows, int64_t bytes, int64_t count) : row_bytes(bytes) {
    std::mt19937 random(static_cast<unsigned>(bytes));
    index.resize(static_cast<size_t>(table_rows));
    std::iota(index.begin(), index.end(), 0);
    std::shuffle(index.begin(), index.end(), random);
    index.resize(static_cast<size_t>(count));
    table.resize(static_cast<size_t>(table_rows * bytes));
    rows.resize(static_cast<size_t>(count * bytes));
    for (uint8_t& byte : table) byte = static_cast<uint8_t>(random());
    for (uint8_t& byte : rows) byte = static_cast<uint8_t>(random());
  }

  int64_t count() const { return static_cast<int64_t>(index.size()); }

  std::vector<uint8_t> gathered() const {
    std::vector<uint8_t> out;
    for (const int32_t row : index) {
      for (int64_t k = 0; k < row_bytes; ++k) out.push_back(table[at(row, k)]);
    }
    return out;
  }

  std::vector<uint8_t> scattered() const {
    std::vector<uint8_t> target = table;
    for (int64_t i = 0; i < count(); ++i) {
      const int32_t row = index[static_cast<size_t>(i)];
      for (int64_t k = 0; k < row_bytes; ++k) target[at(row, k)] = rows[at(i, k)];
    }
    return target;
  }

  int64_t row_bytes;
  std::vector<int32_t> index;  // [count]
  std::vector<uint8_t> table;  // [table_rows, row_bytes]
  std::vector<uint8_t> rows;   // [count, row_bytes]

 private:
  size_t at(int64_t row, int64_t k) const { return static_cast<size_t>(row * row_bytes + k); }
};

}  // namespace rung::testing
