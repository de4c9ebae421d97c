// The CUDA kernels of SwiGLU on the emulated device: against the reference, in every order of
// threads, nothing written outside.
#include <gtest/gtest.h>

#include <limits>

#include "tests/kernels/refusal.h"
#include "tests/kernels/swiglu_case.h"
#include "tests/kernels/swiglu_rounding.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using emulation::ShiftedBuffer;
using kernels::bf16;
using kernels::fp16;
using kernels::Stream;
using kernels::SwigluShape;
using testing::as_double;
using testing::random_values;
using testing::swiglu_shape;
using testing::SwigluCase;
using testing::Tolerances;
using testing::untouched;

// Rows of single elements and of whole packets, several rows to a block and several blocks to a
// row, a small model's MLP.
const std::vector<SwigluShape> kShapes = {
    swiglu_shape(1, 1),
    swiglu_shape(3, 31),
    swiglu_shape(5, 33),
    swiglu_shape(2, 1025),
    swiglu_shape(7, 8),
    swiglu_shape(19, 48),
    swiglu_shape(3, 1536),
    swiglu_shape(2, 4096 + 64),
    // With gaps: in packets, then by element because of one stride, the other, or the rows.
    swiglu_shape(5, 48, 16, 8),
    swiglu_shape(2, 4096 + 64, 0, 16),
    swiglu_shape(5, 48, 4 + 1, 8),
    swiglu_shape(5, 48, 8, 3),
    swiglu_shape(5, 33, 14, 15),
};

template <typename T>
void check_forward(const SwigluShape& shape) {
  SCOPED_TRACE(::testing::Message() << shape.inter << " of " << shape.y_stride);
  const SwigluCase<T> c(shape);
  const std::vector<double> expected = c.expected_y();
  const GuardedBuffer<T> gate_up(c.gate_up);
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device device(schedule);
    GuardedBuffer<T> y(untouched<T>(expected.size()));
    kernels::cuda::swiglu_forward(gate_up.data(), shape, y.data(), Stream{device.handle()});
    EXPECT_TRUE(testing::close(y.read(), expected, Tolerances<T>::kElementwise));
    EXPECT_TRUE(y.intact() && gate_up.intact());
    EXPECT_TRUE(device.launched(1));
  }
}

// Apart, and over the operands; h is what the forward pass gives, bit for bit.
template <typename T>
void check_backward(const SwigluShape& shape) {
  SCOPED_TRACE(::testing::Message() << shape.inter << " of " << shape.gate_up_stride);
  const SwigluCase<T> c(shape);
  const std::vector<double> expected = c.expected_gradient(untouched<T>(c.gate_up.size()));
  const GuardedBuffer<T> dy(c.dy);
  const GuardedBuffer<T> gate_up(c.gate_up);
  for (const emulation::Schedule& schedule : emulation::kSchedules) {
    Device device(schedule);
    const Stream stream{device.handle()};
    GuardedBuffer<T> y(untouched<T>(dy.size()));
    kernels::cuda::swiglu_forward(gate_up.data(), shape, y.data(), stream);

    GuardedBuffer<T> apart(untouched<T>(expected.size()));
    GuardedBuffer<T> h(untouched<T>(dy.size()));
    kernels::cuda::swiglu_backward(dy.data(), gate_up.data(), shape, apart.data(), h.data(),
                                   stream);
    EXPECT_TRUE(testing::close(apart.read(), expected, Tolerances<T>::kElementwise));
    EXPECT_EQ(testing::bits_of(h.read()), testing::bits_of(y.read()));

    GuardedBuffer<T> over_gate_up(c.gate_up);
    GuardedBuffer<T> over_dy(c.dy);
    kernels::cuda::swiglu_backward(over_dy.data(), over_gate_up.data(), shape, over_gate_up.data(),
                                   over_dy.data(), stream);
    EXPECT_TRUE(testing::close(over_gate_up.read(), c.in_place(apart.read()), testing::kExact));
    EXPECT_TRUE(testing::close(over_dy.read(), c.output_in_place(y.read()), testing::kExact));

    EXPECT_TRUE(dy.intact() && gate_up.intact() && apart.intact() && h.intact());
    EXPECT_TRUE(over_gate_up.intact() && over_dy.intact());
  }
}

template <typename T>
class SwigluCuda : public ::testing::Test {};
using Types = ::testing::Types<float, bf16, fp16>;
TYPED_TEST_SUITE(SwigluCuda, Types);

TYPED_TEST(SwigluCuda, ForwardMatchesReference) {
  for (const SwigluShape& shape : kShapes) {
    check_forward<TypeParam>(shape);
  }
}

TYPED_TEST(SwigluCuda, RoundsSiluAndTheProduct) {
  using T = TypeParam;
  if (sizeof(T) != 2) GTEST_SKIP() << "float is not rounded";
  const auto values = random_values<T>(2 * 1024, 1);
  const GuardedBuffer<T> gate_up(values);
  GuardedBuffer<T> y(1024);
  Device device;
  kernels::cuda::swiglu_forward(gate_up.data(), swiglu_shape(1, 1024), y.data(),
                                Stream{device.handle()});
  EXPECT_EQ(testing::count_misrounded(values, y.read()), 0);
}

TYPED_TEST(SwigluCuda, BackwardMatchesReference) {
  for (const SwigluShape& shape : kShapes) {
    check_backward<TypeParam>(shape);
  }
}

// Operands that do not start at 16 bytes, one after the other: served element by element, with the
// same bits.
TYPED_TEST(SwigluCuda, TakesMisalignedOperands) {
  using T = TypeParam;
  const SwigluShape shape = swiglu_shape(3, 64);
  const SwigluCase<T> c(shape);
  std::vector<T> expected;
  std::vector<T> expected_gradient;
  for (int misaligned = 0; misaligned < 6; ++misaligned) {
    SCOPED_TRACE(misaligned);
    ShiftedBuffer<T> gate_up(c.gate_up, misaligned == 1);
    ShiftedBuffer<T> y(c.dy, misaligned == 2);
    ShiftedBuffer<T> dy(c.dy, misaligned == 3);
    ShiftedBuffer<T> d_gate_up(c.gate_up, misaligned == 4);
    ShiftedBuffer<T> h(c.dy, misaligned == 5);
    Device device;
    const Stream stream{device.handle()};
    kernels::cuda::swiglu_forward(gate_up.data(), shape, y.data(), stream);
    kernels::cuda::swiglu_backward(dy.data(), gate_up.data(), shape, d_gate_up.data(), h.data(),
                                   stream);
    if (misaligned == 0) {
      expected = y.read();
      expected_gradient = d_gate_up.read();
    }
    EXPECT_TRUE(testing::close(y.read(), expected, testing::kExact));
    EXPECT_TRUE(testing::close(h.read(), expected, testing::kExact));
    EXPECT_TRUE(testing::close(d_gate_up.read(), expected_gradient, testing::kExact));
    EXPECT_TRUE(y.intact() && h.intact() && d_gate_up.intact());
  }
}

TYPED_TEST(SwigluCuda, SaturatesAndKeepsNan) {
  using T = TypeParam;
  std::vector<T> values;
  for (const float gate : {-1e4f, -100.0f, 100.0f, 1e4f, 0.0f, -0.0f, 88.5f}) {
    values.push_back(kernels::from_float<T>(gate));
  }
  values.push_back(kernels::from_float<T>(std::numeric_limits<float>::quiet_NaN()));
  std::vector<double> expected;
  for (const T& gate : values) {
    expected.push_back(reference::swiglu(as_double(gate), 2.0));
  }
  values.resize(16, kernels::from_float<T>(2.0f));
  const GuardedBuffer<T> gate_up(values);
  GuardedBuffer<T> y(8);
  Device device;
  kernels::cuda::swiglu_forward(gate_up.data(), swiglu_shape(1, 8), y.data(),
                                Stream{device.handle()});
  EXPECT_TRUE(testing::close(y.read(), expected, Tolerances<T>::kElementwise));
}

TEST(SwigluCudaLaunch, LaunchesNothingForAnEmptyBatch) {
  Device device;
  const Stream stream{device.handle()};
  kernels::cuda::swiglu_forward<float>(nullptr, swiglu_shape(0, 64), nullptr, stream);
  kernels::cuda::swiglu_backward<float>(nullptr, nullptr, swiglu_shape(4, 0), nullptr, nullptr,
                                        stream);
  EXPECT_TRUE(device.launched(0));
}

TEST(SwigluCudaLaunch, RefusesWhatNoGridCovers) {
  Device device;
  const auto launch = [&] {
    kernels::cuda::swiglu_forward<float>(nullptr, swiglu_shape(4, int64_t{1} << 32), nullptr,
                                         Stream{device.handle()});
  };
  EXPECT_EQ(testing::refusal_of(launch),
            "swiglu_forward: 4 rows of 1073741824 packets are too many for one launch");
}

}  // namespace
}  // namespace rung
