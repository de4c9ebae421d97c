// The CUDA kernels of NF4 on the emulated device: equal to the CPU path byte for byte (which
// nf4_test.cpp holds to the reference), in every order of threads, nothing written outside.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/nf4.h"
#include "kernels/nf4_tables.h"
#include "tests/kernels/nf4_helpers.h"
#include "tests/reference/nf4.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung::test {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::bf16;
using kernels::fp16;
using kernels::Stream;

// Tails of every kind, one row of a small model, several thread blocks with a tail.
const std::vector<size_t> kSizes = {1, 31, 33, 64, 65, 1025, 576 * 3, 8192 * 2, 8192 * 2 + 67};

template <typename T>
class Nf4Cuda : public ::testing::Test {};
using Types = ::testing::Types<float, bf16, fp16>;
TYPED_TEST_SUITE(Nf4Cuda, Types);

template <typename T>
void expect_quantized_as_on_cpu(const std::vector<T>& x) {
  const Nf4Codes expected = quantize_on_cpu(x);
  const GuardedBuffer<T> input(x);
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device device(schedule);
    GuardedBuffer<uint8_t> codes(expected.codes.size());
    GuardedBuffer<float> absmax(expected.absmax.size());
    kernels::cuda::nf4_quantize(input.data(), static_cast<int64_t>(x.size()), codes.data(),
                                absmax.data(), Stream{device.handle()});
    EXPECT_TRUE(same_bytes(codes.read(), expected.codes)) << x.size();
    EXPECT_TRUE(same_bytes(absmax.read(), expected.absmax)) << x.size();
    EXPECT_TRUE(input.intact() && codes.intact() && absmax.intact()) << x.size();
  }
}

TYPED_TEST(Nf4Cuda, QuantizesAsTheCpuDoes) {
  for (size_t n : kSizes) expect_quantized_as_on_cpu(random_weights<TypeParam>(n));
}

TYPED_TEST(Nf4Cuda, QuantizesHardBlocksAsTheCpuDoes) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<TypeParam> x = random_weights<TypeParam>(64 * 7 + 9);
  for (size_t i = 0; i < 64; ++i) {
    x[64 * 2 + i] = kernels::from_float<TypeParam>(1e-38f);
    x[64 * 3 + i] = kernels::from_float<TypeParam>(i % 2 == 0 ? 3e38f : -1e38f);
  }
  x[64 * 4] = kernels::from_float<TypeParam>(infinity);
  x[64 * 5] = kernels::from_float<TypeParam>(1e-42f);
  for (size_t i = 64 * 7; i < x.size(); ++i) x[i] = kernels::from_float<TypeParam>(0.0f);
  expect_quantized_as_on_cpu(x);
}

// Where a product with the reciprocal and a quotient round to different sides of a threshold.
TYPED_TEST(Nf4Cuda, RoundsNearThresholdsAsTheCpuDoes) {
  std::vector<TypeParam> x;
  for (int i = 0; i < 64 * 63 * 8; ++i) {
    const int block = i / 64;
    const float absmax = 0.3f + 0.001f * static_cast<float>(block);
    const float threshold = kernels::kNf4Tables.thresholds[i % 15];
    x.push_back(kernels::from_float<TypeParam>(i % 64 == 0 ? absmax : threshold * absmax));
  }
  expect_quantized_as_on_cpu(x);
  for (size_t first = 0; first < x.size(); first += 64 * 16) {
    expect_quantized_as_on_cpu(std::vector<TypeParam>(
        x.begin() + static_cast<ptrdiff_t>(first), x.begin() + static_cast<ptrdiff_t>(first) + 63));
  }
}

TYPED_TEST(Nf4Cuda, PicksTheNearestValue) {
  const size_t n = 1025;
  const std::vector<TypeParam> x = random_weights<TypeParam>(n);
  std::vector<double> exact;
  for (const TypeParam& value : x) exact.push_back(kernels::to_float(value));
  const reference::Nf4Codes expected = reference::nf4_quantize(exact);
  const GuardedBuffer<TypeParam> input(x);
  GuardedBuffer<uint8_t> codes(ceil_div(n, 2));
  GuardedBuffer<float> absmax(ceil_div(n, 64));
  Device device;
  kernels::cuda::nf4_quantize(input.data(), static_cast<int64_t>(n), codes.data(), absmax.data(),
                              Stream{device.handle()});
  for (size_t i = 0; i < n; ++i) {
    const uint8_t byte = codes.data()[i / 2];
    if (expected.margins[i] < 2.5e-7) continue;  // two float roundings may cross a boundary
    ASSERT_EQ(i % 2 == 0 ? byte >> 4 : byte & 15, expected.codes[i]) << i;
  }
}

// `w` with every pointer into a guarded copy of what it points to.
struct GuardedNf4 {
  GuardedNf4(const Nf4Codes& w, const Nf4NestedScales& scales)
      : codes(w.codes),
        absmax(w.absmax),
        absmax_codes(scales.codes),
        nested_absmax(scales.absmax),
        map(std::vector<float>(kernels::cpu::nf4_nested_map(),
                               kernels::cpu::nf4_nested_map() + 256)),
        offset(scales.offset) {}

  kernels::Nf4View plain(size_t n) const {
    return {
        .codes = codes.data(), .absmax = absmax.data(), .num_elements = static_cast<int64_t>(n)};
  }
  kernels::Nf4View nested(size_t n) const {
    return {.codes = codes.data(),
            .absmax_codes = absmax_codes.data(),
            .nested_absmax = nested_absmax.data(),
            .nested_map = map.data(),
            .nested_offset = offset,
            .num_elements = static_cast<int64_t>(n)};
  }

  GuardedBuffer<uint8_t> codes;
  GuardedBuffer<float> absmax;
  GuardedBuffer<uint8_t> absmax_codes;
  GuardedBuffer<float> nested_absmax;
  GuardedBuffer<float> map;
  float offset;
};

template <typename T>
void expect_dequantized_as_on_cpu(const kernels::Nf4View& on_cpu, const kernels::Nf4View& guarded) {
  std::vector<T> expected(static_cast<size_t>(on_cpu.num_elements));
  kernels::cpu::nf4_dequantize(on_cpu, expected.data());
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device device(schedule);
    GuardedBuffer<T> out(expected.size());
    kernels::cuda::nf4_dequantize(guarded, out.data(), Stream{device.handle()});
    EXPECT_TRUE(same_bytes(out.read(), expected)) << expected.size();
    EXPECT_TRUE(out.intact()) << expected.size();
    EXPECT_TRUE(device.launched(1));
  }
}

template <typename T>
void expect_all_sizes_dequantized_as_on_cpu() {
  for (size_t n : kSizes) {
    const Nf4Codes w = quantize_on_cpu(random_weights<T>(n));
    const Nf4NestedScales scales = nest_on_cpu(w.absmax);
    const GuardedNf4 guarded(w, scales);
    expect_dequantized_as_on_cpu<T>(plain_view(w, n), guarded.plain(n));
    expect_dequantized_as_on_cpu<T>(nested_view(w, scales, n), guarded.nested(n));
  }
}

TEST(Nf4CudaDequantize, EqualsTheCpuInFloat) { expect_all_sizes_dequantized_as_on_cpu<float>(); }
TEST(Nf4CudaDequantize, EqualsTheCpuInBf16) { expect_all_sizes_dequantized_as_on_cpu<bf16>(); }
TEST(Nf4CudaDequantize, EqualsTheCpuInFp16) { expect_all_sizes_dequantized_as_on_cpu<fp16>(); }

TEST(Nf4CudaDequantize, HoldsOverflowAndDenormalsAsTheCpuDoes) {
  Nf4Codes w = quantize_on_cpu(random_weights<float>(64 * 4));
  w.absmax = {3e38f, 1e-38f, 7e4f, 1e-6f};
  const GuardedNf4 guarded(w, nest_on_cpu(w.absmax));
  expect_dequantized_as_on_cpu<float>(plain_view(w, 256), guarded.plain(256));
  expect_dequantized_as_on_cpu<bf16>(plain_view(w, 256), guarded.plain(256));
  expect_dequantized_as_on_cpu<fp16>(plain_view(w, 256), guarded.plain(256));
}

// Rows of packets: several blocks of threads with a tail, parts of rows, rows in a packet's width.
// Then rows of elements: by their length, by the stride, cutting packets and shorter than them.
struct RowsCase {
  kernels::Nf4Rows rows;
  size_t n;
};
const std::vector<RowsCase> kRowsCases = {
    {{576, 576 + 16}, 576 * 33},
    {{64, 64}, 64 * 3},
    {{4096, 4096 + 8}, 4096 * 3 + 100},
    {{8, 16}, 8192 + 8 * 7 + 3},
    {{576, 576 + 4}, 576 * 3},
    {{100, 104}, 100 * 99},
    {{1025, 1026}, 1025 * 9},
    {{1, 2}, 77},
    {{3, 5}, 8192 + 31},
    {{33, 33}, 33 * 5},
};

// The buffer holds `shift` elements in front of the rows, so that they are aligned or not.
template <typename T>
void expect_rows_equal_a_copy(const kernels::Nf4View& w, const kernels::Nf4Rows& rows,
                              size_t shift) {
  Device device;
  GuardedBuffer<T> dense(static_cast<size_t>(w.num_elements));
  kernels::cuda::nf4_dequantize(w, dense.data(), Stream{device.handle()});
  const std::vector<T> before(size_of_rows(rows, dense.size()), kernels::from_float<T>(7.0f));
  std::vector<T> expected = copied_to_rows(dense.read(), rows, before);
  expected.insert(expected.begin(), shift, before.at(0));
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device rows_device(schedule);
    GuardedBuffer<T> out(std::vector<T>(expected.size(), before.at(0)));
    kernels::cuda::nf4_dequantize(w, rows, out.data() + shift, Stream{rows_device.handle()});
    EXPECT_TRUE(same_bytes(out.read(), expected));
    EXPECT_TRUE(out.intact());
    EXPECT_TRUE(rows_device.launched(1));
  }
}

template <typename T>
void expect_all_rows_equal_a_copy() {
  for (const RowsCase& c : kRowsCases) {
    SCOPED_TRACE(::testing::Message() << c.n << " in rows of " << c.rows.cols);
    const Nf4Codes w = quantize_on_cpu(random_weights<T>(c.n));
    const GuardedNf4 guarded(w, nest_on_cpu(w.absmax));
    expect_rows_equal_a_copy<T>(guarded.plain(c.n), c.rows, 0);
    expect_rows_equal_a_copy<T>(guarded.nested(c.n), c.rows, 0);
  }
  const Nf4Codes w = quantize_on_cpu(random_weights<T>(576 * 3));
  const GuardedNf4 guarded(w, nest_on_cpu(w.absmax));
  expect_rows_equal_a_copy<T>(guarded.plain(576 * 3), {576, 576 + 16}, 1);
}

TEST(Nf4CudaRows, EqualACopyInFloat) { expect_all_rows_equal_a_copy<float>(); }
TEST(Nf4CudaRows, EqualACopyInBf16) { expect_all_rows_equal_a_copy<bf16>(); }
TEST(Nf4CudaRows, EqualACopyInFp16) { expect_all_rows_equal_a_copy<fp16>(); }

TEST(Nf4CudaNested, QuantizesScalesAsTheCpuDoes) {
  const float* cpu_map = kernels::cpu::nf4_nested_map();
  const GuardedBuffer<float> map(std::vector<float>(cpu_map, cpu_map + 256));
  // Below one row of the sum, one group, several groups (of 8,192), one past them.
  for (size_t num_blocks : {1, 9, 31, 257, 8192, 8192 * 3 + 77, 8192 * 33 + 32 * 19 + 13}) {
    std::vector<float> absmax = random_weights<float>(num_blocks, 3);
    for (float& value : absmax) value = std::fabs(value) + 0.01f;
    const Nf4NestedScales expected = nest_on_cpu(absmax);
    const GuardedBuffer<float> input(absmax);
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      if (num_blocks > 100000 && schedule.order != emulation::Order::kReverse) continue;  // seconds
      Device device(schedule);
      GuardedBuffer<uint8_t> codes(num_blocks);
      GuardedBuffer<float> nested_absmax(expected.absmax.size());
      GuardedBuffer<float> offset(1);
      kernels::cuda::nf4_quantize_absmax(input.data(), static_cast<int64_t>(num_blocks), map.data(),
                                         codes.data(), nested_absmax.data(), offset.data(),
                                         Stream{device.handle()});
      EXPECT_EQ(offset.read().at(0), expected.offset) << num_blocks;
      EXPECT_TRUE(same_bytes(codes.read(), expected.codes)) << num_blocks;
      EXPECT_TRUE(same_bytes(nested_absmax.read(), expected.absmax)) << num_blocks;
      EXPECT_TRUE(codes.intact() && nested_absmax.intact() && offset.intact()) << num_blocks;
    }
  }
}

TEST(Nf4CudaNested, GivesCodeZeroWhenAllScalesAreEqual) {
  const GuardedBuffer<float> absmax(std::vector<float>(40, 0.125f));
  const GuardedBuffer<float> map(std::vector<float>(256, 0.0f));
  GuardedBuffer<uint8_t> codes(40);
  GuardedBuffer<float> nested_absmax(1);
  GuardedBuffer<float> offset(1);
  Device device;
  kernels::cuda::nf4_quantize_absmax(absmax.data(), 40, map.data(), codes.data(),
                                     nested_absmax.data(), offset.data(), Stream{device.handle()});
  EXPECT_EQ(codes.read(), std::vector<uint8_t>(40, 0));
  EXPECT_EQ(offset.read().at(0), 0.125f);
}

TEST(Nf4CudaLaunch, RefusesMisalignedOutput) {
  Device device;
  GuardedBuffer<uint8_t> codes(32);
  GuardedBuffer<float> absmax(1);
  GuardedBuffer<float> out(65);
  const kernels::Nf4View w = {.codes = codes.data(), .absmax = absmax.data(), .num_elements = 64};
  try {
    kernels::cuda::nf4_dequantize(w, out.data() + 1, Stream{device.handle()});
    FAIL() << "nothing was thrown";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "nf4_dequantize: out is not aligned to 16 bytes");
  }
}

TEST(Nf4CudaLaunch, LaunchesNothingForAnEmptyTensor) {
  Device device;
  const Stream stream{device.handle()};
  kernels::cuda::nf4_quantize<float>(nullptr, 0, nullptr, nullptr, stream);
  kernels::cuda::nf4_dequantize<float>({}, nullptr, stream);
  kernels::cuda::nf4_dequantize<float>({}, {.cols = 64, .stride = 80}, nullptr, stream);
  EXPECT_TRUE(device.launched(0));
}

}  // namespace
}  // namespace rung::test
