#include "kernels/rows.h"

#include "tests/kernels/rows_case.h"

namespace rung {
namespace {

using kernels::cpu::rows_gather;
using kernels::cpu::rows_scatter;
using testing::RowsCase;

// Exact: only moves bytes.
TEST(Rows, GathersByIndex) {
  for (const int64_t row_bytes : {1, 31, 33, 64, 1025, 1152, 4096 * 4}) {
    const RowsCase rows_case(300, row_bytes, 257);
    std::vector<uint8_t> out(rows_case.rows.size());
    rows_gather(rows_case.table.data(), row_bytes, rows_case.index.data(), rows_case.count(),
                out.data());
    EXPECT_EQ(out, rows_case.gathered()) << row_bytes;
  }
}

TEST(Rows, ScattersByIndex) {
  for (const int64_t row_bytes : {1, 31, 33, 64, 1025, 1152, 4096 * 4}) {
    const RowsCase rows_case(300, row_bytes, 257);
    std::vector<uint8_t> target = rows_case.table;
    rows_scatter(rows_case.rows.data(), row_bytes, rows_case.index.data(), rows_case.count(),
                 target.data());
    EXPECT_EQ(target, rows_case.scattered()) << row_bytes;
  }
}

TEST(Rows, GathersARowMoreThanOnce) {
  const std::vector<uint8_t> table = {1, 2, 3, 4};
  const std::vector<int32_t> index = {1, 0, 1};
  std::vector<uint8_t> out(6);
  rows_gather(table.data(), 2, index.data(), 3, out.data());
  EXPECT_EQ(out, (std::vector<uint8_t>{3, 4, 1, 2, 3, 4}));
}

TEST(Rows, MovesNothingWithoutIndices) {
  std::vector<uint8_t> out = {7};
  rows_gather(out.data(), 1, nullptr, 0, out.data());
  rows_scatter(out.data(), 1, nullptr, 0, out.data());
  EXPECT_EQ(out, (std::vector<uint8_t>{7}));
}

}  // namespace
}  // namespace rung
