// The CUDA kernels of RMSNorm on the emulated device: within the tolerances of the reference, with
// every rounding where it is prescribed, the same bits in every order of threads, nothing written
// outside.
#include "kernels/rms_norm.h"
#include "tests/kernels/rms_norm_case.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung::test {
namespace {

using emulation::Device;
using emulation::GuardedBuffer;
using emulation::ShiftedBuffer;
using kernels::bf16;
using kernels::RmsNormShape;
using kernels::Stream;
using kernels::cuda::rms_norm_add_forward;
using kernels::cuda::rms_norm_backward;
using kernels::cuda::rms_norm_forward;
using testing::close;
using testing::kEps;
using testing::kExact;
using testing::norm_shape;
using testing::NormOutputs;
using testing::RmsNormCase;
using testing::Tolerances;
using testing::untouched;

const std::vector<RmsNormShape> kShapes = {
    // By element: a lane, a part of a warp, a warp, blocks with a tail.
    norm_shape(5, 1, 1, 3, 1),
    norm_shape(9, 1, 31, 3, 1),
    norm_shape(5, 1, 33, 3, 1),
    norm_shape(3, 1, 1025, 3, 1),
    norm_shape(2, 3, 576, 1, 8),
    norm_shape(2, 1, 576, 8, 1),
    norm_shape(1, 1, 8191, 0, 0),
    // In packets: heads that take less than a warp, all of one, with lanes to spare.
    norm_shape(33, 3, 64, 8, 16),
    norm_shape(9, 5, 128, 0, 0),
    norm_shape(7, 2, 80, 8, 8),
    norm_shape(5, 2, 256, 16, 0),
    // Rows of a warp and of blocks, up to the largest.
    norm_shape(3, 1, 576, 8, 24),
    norm_shape(3, 1, 4096, 0, 0),
    norm_shape(2, 1, 5120 + 8, 0, 8),
    norm_shape(1, 1, 16384, 0, 0),
};

template <typename T>
class RmsNormCuda : public ::testing::Test {};
TYPED_TEST_SUITE(RmsNormCuda, testing::NormTypes);

TYPED_TEST(RmsNormCuda, ForwardMatchesReferenceInEveryOrder) {
  using T = TypeParam;
  for (const RmsNormShape& shape : kShapes) {
    SCOPED_TRACE(::testing::Message() << shape.heads << " x " << shape.cols);
    const RmsNormCase<T> c(shape);
    const NormOutputs expected = reference_forward(c, c.x);
    const GuardedBuffer<T> x(c.x);
    const GuardedBuffer<T> weight(c.weight);
    std::vector<float> first_rstd;
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      Device device(schedule);
      GuardedBuffer<T> y(untouched<T>(c.dy.size()));
      GuardedBuffer<float> rstd(c.num_vectors());
      rms_norm_forward(x.data(), weight.data(), kEps, shape, y.data(), rstd.data(),
                       Stream{device.handle()});
      EXPECT_TRUE(close(rstd.read(), expected.rstd, Tolerances<float>::kElementwise));
      EXPECT_TRUE(close(y.read(), prescribed_y(c, c.x, rstd.read()), kExact));
      EXPECT_TRUE(close(y.read(), expected.y, Tolerances<T>::kElementwise));
      if (first_rstd.empty()) first_rstd = rstd.read();
      EXPECT_TRUE(close(rstd.read(), first_rstd, kExact));
      EXPECT_TRUE(x.intact() && weight.intact() && y.intact() && rstd.intact());
      EXPECT_TRUE(device.launched(1));
    }
  }
}

TYPED_TEST(RmsNormCuda, AddForwardIsTheNormOfTheRoundedSum) {
  using T = TypeParam;
  for (const RmsNormShape& shape : kShapes) {
    SCOPED_TRACE(::testing::Message() << shape.heads << " x " << shape.cols);
    const RmsNormCase<T> c(shape);
    const std::vector<T> expected_sum = c.sum();
    const NormOutputs expected = reference_forward(c, expected_sum);
    const GuardedBuffer<T> x(c.x);
    const GuardedBuffer<T> residual(c.residual);
    const GuardedBuffer<T> weight(c.weight);
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      Device device(schedule);
      GuardedBuffer<T> sum(untouched<T>(c.x.size()));
      GuardedBuffer<T> y(untouched<T>(c.dy.size()));
      GuardedBuffer<float> rstd(c.num_vectors());
      rms_norm_add_forward(x.data(), residual.data(), weight.data(), kEps, shape, sum.data(),
                           y.data(), rstd.data(), Stream{device.handle()});
      EXPECT_TRUE(close(sum.read(), expected_sum, kExact));
      EXPECT_TRUE(close(rstd.read(), expected.rstd, Tolerances<float>::kElementwise));
      EXPECT_TRUE(close(y.read(), prescribed_y(c, expected_sum, rstd.read()), kExact));
      EXPECT_TRUE(x.intact() && residual.intact() && sum.intact() && y.intact() && rstd.intact());
      EXPECT_TRUE(device.launched(1));
    }
  }
}

// With and without the gradient of the residual.
TYPED_TEST(RmsNormCuda, BackwardMatchesReferenceInEveryOrder) {
  using T = TypeParam;
  for (const RmsNormShape& shape : kShapes) {
    SCOPED_TRACE(::testing::Message() << shape.heads << " x " << shape.cols);
    const RmsNormCase<T> c(shape);
    const GuardedBuffer<T> dy(c.dy);
    const GuardedBuffer<T> x(c.x);
    const GuardedBuffer<T> weight(c.weight);
    const GuardedBuffer<float> rstd(reference_rstd(c));
    const GuardedBuffer<T> dresidual(c.dresidual);
    for (const bool has_residual : {false, true}) {
      const std::vector<double> expected =
          reference_backward(c, has_residual ? c.dresidual : std::vector<T>());
      std::vector<T> first_dx;
      for (const emulation::Schedule& schedule : emulation::kSchedules) {
        Device device(schedule);
        GuardedBuffer<T> dx(untouched<T>(c.x.size()));
        rms_norm_backward(dy.data(), x.data(), weight.data(), rstd.data(),
                          has_residual ? dresidual.data() : nullptr, shape, dx.data(),
                          Stream{device.handle()});
        EXPECT_TRUE(close(dx.read(), expected, Tolerances<T>::kSum)) << has_residual;
        if (first_dx.empty()) first_dx = dx.read();
        EXPECT_TRUE(close(dx.read(), first_dx, kExact));
        EXPECT_TRUE(dy.intact() && x.intact() && dresidual.intact() && dx.intact());
        EXPECT_TRUE(device.launched(1));
      }
    }
  }
}

// Packets in blocks and in parts of warps, elements.
const std::vector<RmsNormShape> kInPlaceShapes = {
    norm_shape(3, 1, 4096, 0, 0), norm_shape(5, 3, 64, 0, 0), norm_shape(3, 2, 33, 0, 0)};

TEST(RmsNormCudaInPlace, ForwardMayOverwriteItsInput) {
  for (const RmsNormShape& shape : kInPlaceShapes) {
    const RmsNormCase<bf16> c(shape);
    const GuardedBuffer<bf16> weight(c.weight);
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      Device device(schedule);
      GuardedBuffer<bf16> x(c.x);
      GuardedBuffer<bf16> apart(c.x.size());
      for (bf16* y : {apart.data(), x.data()}) {
        rms_norm_forward(x.data(), weight.data(), kEps, shape, y, nullptr, Stream{device.handle()});
      }
      EXPECT_TRUE(close(x.read(), apart.read(), kExact)) << shape.cols;
    }
  }
}

enum class Overwritten { kNone, kFirst, kSecond, kThird };

std::vector<bf16> norm_of_sum(const RmsNormCase<bf16>& c, Overwritten overwritten, Device& device) {
  const GuardedBuffer<bf16> weight(c.weight);
  GuardedBuffer<bf16> x(c.x);
  GuardedBuffer<bf16> residual(c.residual);
  GuardedBuffer<bf16> apart(c.x.size());
  GuardedBuffer<bf16> y(c.dy.size());
  GuardedBuffer<bf16>& sum = overwritten == Overwritten::kFirst    ? x
                             : overwritten == Overwritten::kSecond ? residual
                                                                   : apart;
  rms_norm_add_forward(x.data(), residual.data(), weight.data(), kEps, c.shape, sum.data(),
                       y.data(), nullptr, Stream{device.handle()});
  EXPECT_TRUE(close(sum.read(), c.sum(), kExact)) << c.shape.cols;
  return y.read();
}

TEST(RmsNormCudaInPlace, AddForwardMayOverwriteItsSummands) {
  for (const RmsNormShape& shape : kInPlaceShapes) {
    const RmsNormCase<bf16> c(shape);
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      Device device(schedule);
      const std::vector<bf16> apart = norm_of_sum(c, Overwritten::kNone, device);
      EXPECT_TRUE(close(norm_of_sum(c, Overwritten::kFirst, device), apart, kExact));
      EXPECT_TRUE(close(norm_of_sum(c, Overwritten::kSecond, device), apart, kExact));
    }
  }
}

std::vector<bf16> gradient(const RmsNormCase<bf16>& c, Overwritten overwritten, Device& device) {
  const GuardedBuffer<bf16> weight(c.weight);
  const GuardedBuffer<float> rstd(reference_rstd(c));
  GuardedBuffer<bf16> dy(c.dy);
  GuardedBuffer<bf16> x(c.x);
  GuardedBuffer<bf16> dresidual(c.dresidual);
  GuardedBuffer<bf16> apart(c.x.size());
  GuardedBuffer<bf16>& dx = overwritten == Overwritten::kFirst    ? dy
                            : overwritten == Overwritten::kSecond ? x
                            : overwritten == Overwritten::kThird  ? dresidual
                                                                  : apart;
  rms_norm_backward(dy.data(), x.data(), weight.data(), rstd.data(), dresidual.data(), c.shape,
                    dx.data(), Stream{device.handle()});
  return dx.read();
}

TEST(RmsNormCudaInPlace, BackwardMayOverwriteItsInputs) {
  for (const RmsNormShape& shape : kInPlaceShapes) {
    const RmsNormCase<bf16> c(shape);
    for (const emulation::Schedule& schedule : emulation::kSchedules) {
      Device device(schedule);
      const std::vector<bf16> apart = gradient(c, Overwritten::kNone, device);
      EXPECT_TRUE(close(gradient(c, Overwritten::kFirst, device), apart, kExact));
      EXPECT_TRUE(close(gradient(c, Overwritten::kSecond, device), apart, kExact));
      EXPECT_TRUE(close(gradient(c, Overwritten::kThird, device), apart, kExact));
    }
  }
}

// Rows that are aligned by their lengths; one operand after the other lies where packets do not.
TEST(RmsNormCudaLaunch, TakesMisalignedPointersByElement) {
  const RmsNormCase<bf16> c(norm_shape(3, 1, 576, 0, 0));
  const GuardedBuffer<float> exact_rstd(reference_rstd(c));
  for (int misaligned = 0; misaligned < 6; ++misaligned) {
    SCOPED_TRACE(misaligned);
    ShiftedBuffer<bf16> x(c.x, misaligned == 0);
    ShiftedBuffer<bf16> weight(c.weight, misaligned == 1);
    ShiftedBuffer<bf16> dy(c.dy, misaligned == 2);
    ShiftedBuffer<bf16> y(c.dy, misaligned == 3);
    ShiftedBuffer<bf16> residual(c.residual, misaligned == 4);
    ShiftedBuffer<bf16> result(c.x, misaligned == 5);  // sum, then dx
    GuardedBuffer<float> rstd(c.num_vectors());
    Device device;
    const Stream stream{device.handle()};
    rms_norm_add_forward(x.data(), residual.data(), weight.data(), kEps, c.shape, result.data(),
                         y.data(), rstd.data(), stream);
    EXPECT_TRUE(close(result.read(), c.sum(), kExact));
    EXPECT_TRUE(close(y.read(), prescribed_y(c, c.sum(), rstd.read()), kExact));
    rms_norm_backward(dy.data(), x.data(), weight.data(), exact_rstd.data(), residual.data(),
                      c.shape, result.data(), stream);
    EXPECT_TRUE(close(result.read(), reference_backward(c, c.residual), Tolerances<bf16>::kSum));
  }
}

// The text of what a launch of this shape throws; no memory is touched.
std::string refusal_of(const RmsNormShape& shape) {
  Device device;
  try {
    rms_norm_forward<float>(nullptr, nullptr, kEps, shape, nullptr, nullptr,
                            Stream{device.handle()});
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

TEST(RmsNormCudaLaunch, RefusesVectorsThatNoBlockHolds) {
  EXPECT_EQ(
      refusal_of(norm_shape(1, 1, 16385, 0, 0)),
      "rms_norm_forward: cols must be at most 8192 in rows not aligned to 16 bytes, got 16385");
  EXPECT_EQ(refusal_of(norm_shape(1, 1, 16388, 0, 0)),
            "rms_norm_forward: cols must be at most 16384, got 16388");
}

TEST(RmsNormCudaLaunch, RefusesMoreVectorsThanAGridHolds) {
  EXPECT_EQ(refusal_of(norm_shape(1 << 30, 2, 64, 0, 0)),
            "rms_norm_forward: rows * heads must be below 2^31, got 1073741824 * 2");
}

TEST(RmsNormCudaLaunch, LaunchesNothingForNoRows) {
  Device device;
  const Stream stream{device.handle()};
  const RmsNormShape shape = norm_shape(0, 1, 64, 0, 0);
  rms_norm_forward<float>(nullptr, nullptr, kEps, shape, nullptr, nullptr, stream);
  rms_norm_add_forward<float>(nullptr, nullptr, nullptr, kEps, shape, nullptr, nullptr, nullptr,
                              stream);
  rms_norm_backward<float>(nullptr, nullptr, nullptr, nullptr, nullptr, shape, nullptr, stream);
  EXPECT_TRUE(device.launched(0));
}

}  // namespace
}  // namespace rung::test
