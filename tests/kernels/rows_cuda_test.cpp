// The CUDA kernels of row gathering and scattering on the emulated device, in every order of
// threads, nothing written outside. Exact: only moves bytes.
#include <gtest/gtest.h>

#include "kernels/rows.h"
#include "tests/kernels/refusal.h"
#include "tests/kernels/rows_case.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::Stream;
using testing::RowsCase;

// Bytes and packets; several rows to a block and several blocks to a row.
constexpr int64_t kRowBytes[] = {1, 31, 33, 16, 48, 1025, 1152, 4096 * 2, 4096 * 4 + 16};

TEST(RowsCuda, GathersByIndex) {
  for (const int64_t row_bytes : kRowBytes) {
    const RowsCase rows_case(40, row_bytes, 33);
    const GuardedBuffer<uint8_t> table(rows_case.table);
    const GuardedBuffer<int32_t> index(rows_case.index);
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      Device device(schedule);
      GuardedBuffer<uint8_t> out(rows_case.rows.size());
      kernels::cuda::rows_gather(table.data(), row_bytes, index.data(), rows_case.count(),
                                 out.data(), Stream{device.handle()});
      EXPECT_EQ(out.read(), rows_case.gathered()) << row_bytes;
      EXPECT_TRUE(out.intact() && table.intact() && index.intact()) << row_bytes;
      EXPECT_TRUE(device.launched(1));
    }
  }
}

TEST(RowsCuda, ScattersByIndex) {
  for (const int64_t row_bytes : kRowBytes) {
    const RowsCase rows_case(40, row_bytes, 33);
    const GuardedBuffer<uint8_t> rows(rows_case.rows);
    const GuardedBuffer<int32_t> index(rows_case.index);
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      Device device(schedule);
      GuardedBuffer<uint8_t> target(rows_case.table);
      kernels::cuda::rows_scatter(rows.data(), row_bytes, index.data(), rows_case.count(),
                                  target.data(), Stream{device.handle()});
      EXPECT_EQ(target.read(), rows_case.scattered()) << row_bytes;
      EXPECT_TRUE(target.intact() && rows.intact() && index.intact()) << row_bytes;
    }
  }
}

TEST(RowsCuda, GathersARowMoreThanOnce) {
  const std::vector<int32_t> repeated = {1, 0, 1, 1};
  const RowsCase rows_case(2, 64, 2);
  const GuardedBuffer<uint8_t> table(rows_case.table);
  const GuardedBuffer<int32_t> index(repeated);
  Device device;
  GuardedBuffer<uint8_t> out(4 * 64);
  kernels::cuda::rows_gather(table.data(), 64, index.data(), 4, out.data(),
                             Stream{device.handle()});
  std::vector<uint8_t> expected;
  for (const int32_t row : repeated) {
    expected.insert(expected.end(), rows_case.table.begin() + row * 64,
                    rows_case.table.begin() + row * 64 + 64);
  }
  EXPECT_EQ(out.read(), expected);
}

TEST(RowsCuda, TakesMisalignedOperands) {
  const RowsCase rows_case(40, 64, 33);
  std::vector<uint8_t> shifted = rows_case.table;
  shifted.insert(shifted.begin(), 0);
  const GuardedBuffer<uint8_t> table(shifted);
  const GuardedBuffer<int32_t> index(rows_case.index);
  Device device;
  GuardedBuffer<uint8_t> out(rows_case.rows.size());
  kernels::cuda::rows_gather(table.data() + 1, 64, index.data(), 33, out.data(),
                             Stream{device.handle()});
  EXPECT_EQ(out.read(), rows_case.gathered());
}

TEST(RowsCudaLaunch, LaunchesNothingWithoutIndices) {
  Device device;
  const Stream stream{device.handle()};
  kernels::cuda::rows_gather(nullptr, 64, nullptr, 0, nullptr, stream);
  kernels::cuda::rows_scatter(nullptr, 0, nullptr, 3, nullptr, stream);
  EXPECT_TRUE(device.launched(0));
}

TEST(RowsCudaLaunch, RefusesWhatNoGridCovers) {
  Device device;
  const auto launch = [&] {
    kernels::cuda::rows_scatter(nullptr, int64_t{1} << 32, nullptr, 2, nullptr,
                                Stream{device.handle()});
  };
  EXPECT_EQ(testing::refusal_of(launch),
            "rows_scatter: 2 rows of 268435456 packets are too many for one launch");
}

}  // namespace
}  // namespace rung
