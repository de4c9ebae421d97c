// The CUDA kernels of adapter dropout on the emulated device: equal to the CPU path bit for bit
// (which lora_dropout_test.cpp holds to the definition), in every order of threads, nothing written
// outside.
#include <gtest/gtest.h>

#include <limits>

#include "kernels/lora_dropout.h"
#include "tests/kernels/refusal.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using kernels::bf16;
using kernels::fp16;
using kernels::Stream;
using testing::bits_of;
using testing::random_values;

constexpr uint64_t kModuleKey = kernels::dropout_module_key(1, 2);

struct Shape {
  int64_t rows;
  int64_t cols;
  int64_t stride;
};

// Rows of single elements and of whole packets, dense and apart, several rows to a block and
// several blocks to a row.
constexpr Shape kShapes[] = {{1, 1, 1},         {3, 31, 31},     {5, 33, 40},
                             {2, 1025, 1025},   {70, 8, 8},      {19, 48, 56},
                             {9, 576, 3 * 576}, {3, 4096, 4096}, {2, 8192 + 8, 8208}};

std::vector<uint64_t> row_keys(int64_t rows) {
  std::vector<uint64_t> keys;
  for (int64_t row = 0; row < rows; ++row) {
    keys.push_back(kernels::dropout_row_key(42, 3, 5, row));
  }
  return keys;
}

enum class Nan { kAbsent, kPresent };

// Exact: every rounding is prescribed. NaN differ in their bits, so inputs have none where bits
// are compared.
template <typename T>
void check(const std::vector<T>& x, Shape shape, float p, Nan nan = Nan::kAbsent) {
  SCOPED_TRACE(::testing::Message() << shape.rows << " x " << shape.cols << ", p = " << p);
  const GuardedBuffer<T> input(x);
  const GuardedBuffer<uint64_t> keys(row_keys(shape.rows));
  const auto dx = random_values<T>(shape.rows * shape.cols, 2);
  std::vector<T> expected(dx.size());
  std::vector<T> expected_dx = dx;
  kernels::cpu::lora_dropout(x.data(), keys.data(), kModuleKey, p, shape.rows, shape.cols,
                             shape.stride, expected.data());
  kernels::cpu::lora_dropout_accumulate(x.data(), keys.data(), kModuleKey, p, shape.rows,
                                        shape.cols, shape.stride, expected_dx.data());
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device device(schedule);
    const Stream stream{device.handle()};
    GuardedBuffer<T> y(dx.size());
    GuardedBuffer<T> sum(dx);
    kernels::cuda::lora_dropout(input.data(), keys.data(), kModuleKey, p, shape.rows, shape.cols,
                                shape.stride, y.data(), stream);
    kernels::cuda::lora_dropout_accumulate(input.data(), keys.data(), kModuleKey, p, shape.rows,
                                           shape.cols, shape.stride, sum.data(), stream);
    EXPECT_TRUE(testing::close(y.read(), expected, testing::kExact));
    EXPECT_TRUE(testing::close(sum.read(), expected_dx, testing::kExact));
    if (nan == Nan::kAbsent) {
      EXPECT_EQ(bits_of(y.read()), bits_of(expected));
      EXPECT_EQ(bits_of(sum.read()), bits_of(expected_dx));
    }
    EXPECT_TRUE(input.intact() && keys.intact() && y.intact() && sum.intact());
    EXPECT_TRUE(device.launched(2));
  }
}

template <typename T>
class LoraDropoutCuda : public ::testing::Test {};
using Types = ::testing::Types<float, bf16, fp16>;
TYPED_TEST_SUITE(LoraDropoutCuda, Types);

TYPED_TEST(LoraDropoutCuda, EqualsTheCpu) {
  using T = TypeParam;
  for (const Shape& shape : kShapes) {
    const auto x = random_values<T>((shape.rows - 1) * shape.stride + shape.cols, 1);
    check(x, shape, 0.1f);
  }
}

TYPED_TEST(LoraDropoutCuda, EqualsTheCpuAtTheEndsOfP) {
  using T = TypeParam;
  const Shape shape = {4, 200, 200};
  const auto x = random_values<T>(shape.rows * shape.cols, 1);
  for (const float p : {0.0f, 1e-7f, 0.5f, 0.99999994f}) {
    check(x, shape, p);
  }
}

TYPED_TEST(LoraDropoutCuda, EqualsTheCpuWhereValuesAreNotFinite) {
  using T = TypeParam;
  const Shape shape = {4, 200, 200};
  auto x = random_values<T>(shape.rows * shape.cols, 1);
  for (size_t i = 0; i < x.size(); i += 3) {
    const float value = i % 2 == 0 ? std::numeric_limits<float>::infinity()
                                   : std::numeric_limits<float>::quiet_NaN();
    x[i] = kernels::from_float<T>(value);
  }
  check(x, shape, 0.5f, Nan::kPresent);
}

// Operands that do not start at 16 bytes are served element by element: the same bits.
TYPED_TEST(LoraDropoutCuda, TakesMisalignedOperands) {
  using T = TypeParam;
  const int64_t rows = 5;
  const int64_t cols = 64;
  const auto values = random_values<T>(rows * cols + 1, 1);
  const GuardedBuffer<T> shifted(values);
  const GuardedBuffer<T> aligned(std::vector<T>(values.begin() + 1, values.end()));
  const GuardedBuffer<uint64_t> keys(row_keys(rows));
  Device device;
  GuardedBuffer<T> expected(rows * cols);
  GuardedBuffer<T> y(rows * cols);
  kernels::cuda::lora_dropout(aligned.data(), keys.data(), kModuleKey, 0.1f, rows, cols, cols,
                              expected.data(), Stream{device.handle()});
  kernels::cuda::lora_dropout(shifted.data() + 1, keys.data(), kModuleKey, 0.1f, rows, cols, cols,
                              y.data(), Stream{device.handle()});
  EXPECT_TRUE(testing::close(y.read(), expected.read(), testing::kExact));
}

TEST(LoraDropoutCudaLaunch, LaunchesNothingForAnEmptyBatch) {
  Device device;
  const Stream stream{device.handle()};
  kernels::cuda::lora_dropout<float>(nullptr, nullptr, 1, 0.1f, 0, 64, 64, nullptr, stream);
  kernels::cuda::lora_dropout_accumulate<float>(nullptr, nullptr, 1, 0.1f, 4, 0, 64, nullptr,
                                                stream);
  EXPECT_TRUE(device.launched(0));
}

TEST(LoraDropoutCudaLaunch, RefusesWhatNoGridCovers) {
  Device device;
  const auto launch = [&] {
    kernels::cuda::lora_dropout<bf16>(nullptr, nullptr, 1, 0.1f, 1, int64_t{1} << 32, 64, nullptr,
                                      Stream{device.handle()});
  };
  EXPECT_EQ(testing::refusal_of(launch),
            "lora_dropout: 1 rows of 536870912 packets are too many for one launch");
}

}  // namespace
}  // namespace rung
