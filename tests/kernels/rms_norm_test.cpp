#include "kernels/rms_norm.h"

#include "tests/kernels/rms_norm_case.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::RmsNormShape;
using kernels::cpu::rms_norm_add_forward;
using kernels::cpu::rms_norm_backward;
using kernels::cpu::rms_norm_forward;
using testing::close;
using testing::kEps;
using testing::kExact;
using testing::norm_shape;
using testing::NormOutputs;
using testing::random_values;
using testing::RmsNormCase;
using testing::Tolerances;
using testing::untouched;

// Rows of odd and of round lengths, then heads. Gaps behind the rows, so that a wrong stride shows.
const std::vector<RmsNormShape> kShapes = {
    norm_shape(5, 1, 1, 3, 1),   norm_shape(5, 1, 31, 3, 1),   norm_shape(5, 1, 33, 3, 1),
    norm_shape(5, 1, 576, 3, 1), norm_shape(5, 1, 1025, 3, 1), norm_shape(33, 3, 64, 3, 1),
    norm_shape(33, 3, 80, 3, 1),
};

template <typename T>
class RmsNormOf : public ::testing::Test {};
TYPED_TEST_SUITE(RmsNormOf, testing::NormTypes);

TYPED_TEST(RmsNormOf, ForwardMatchesReference) {
  using T = TypeParam;
  for (const RmsNormShape& shape : kShapes) {
    SCOPED_TRACE(shape.cols);
    const RmsNormCase<T> c(shape);
    auto y = untouched<T>(c.dy.size());
    std::vector<float> rstd(c.num_vectors());
    rms_norm_forward(c.x.data(), c.weight.data(), kEps, shape, y.data(), rstd.data());
    const NormOutputs expected = reference_forward(c, c.x);
    EXPECT_TRUE(close(y, expected.y, Tolerances<T>::kElementwise));
    EXPECT_TRUE(close(rstd, expected.rstd, Tolerances<float>::kElementwise));
  }
}

TYPED_TEST(RmsNormOf, BackwardMatchesReference) {
  using T = TypeParam;
  for (const RmsNormShape& shape : kShapes) {
    SCOPED_TRACE(shape.cols);
    const RmsNormCase<T> c(shape);
    const std::vector<float> rstd = reference_rstd(c);
    auto dx = untouched<T>(c.x.size());
    rms_norm_backward<T>(c.dy.data(), c.x.data(), c.weight.data(), rstd.data(), nullptr, shape,
                         dx.data());
    EXPECT_TRUE(close(dx, reference_backward(c, {}), Tolerances<T>::kElementwise));
  }
}

TYPED_TEST(RmsNormOf, AddForwardIsTheNormOfTheRoundedSum) {
  using T = TypeParam;
  for (const RmsNormShape& shape : kShapes) {
    SCOPED_TRACE(shape.cols);
    const RmsNormCase<T> c(shape);
    auto sum = untouched<T>(c.x.size());
    auto y = untouched<T>(c.dy.size());
    std::vector<float> rstd(c.num_vectors());
    rms_norm_add_forward(c.x.data(), c.residual.data(), c.weight.data(), kEps, shape, sum.data(),
                         y.data(), rstd.data());
    const NormOutputs expected = reference_forward(c, c.sum());
    EXPECT_TRUE(close(sum, c.sum(), kExact));
    EXPECT_TRUE(close(y, expected.y, Tolerances<T>::kElementwise));
    EXPECT_TRUE(close(rstd, expected.rstd, Tolerances<float>::kElementwise));
  }
}

TYPED_TEST(RmsNormOf, AddForwardMayOverwriteItsSummands) {
  using T = TypeParam;
  const RmsNormShape shape = norm_shape(9, 1, 33, 0, 0);
  const RmsNormCase<T> c(shape);
  std::vector<T> over_x = c.x;
  std::vector<T> over_residual = c.residual;
  for (std::vector<T>* sum : {&over_x, &over_residual}) {
    const T* x = sum == &over_x ? over_x.data() : c.x.data();
    const T* residual = sum == &over_residual ? over_residual.data() : c.residual.data();
    std::vector<T> y(c.dy.size());
    std::vector<T> norm_of_sum(c.dy.size());
    rms_norm_add_forward(x, residual, c.weight.data(), kEps, shape, sum->data(), y.data(), nullptr);
    rms_norm_forward(sum->data(), c.weight.data(), kEps, shape, norm_of_sum.data(), nullptr);
    EXPECT_TRUE(close(*sum, c.sum(), kExact));
    EXPECT_TRUE(close(y, norm_of_sum, kExact));
  }
}

TYPED_TEST(RmsNormOf, BackwardAddsTheGradientOfTheResidual) {
  using T = TypeParam;
  for (const RmsNormShape& shape : kShapes) {
    SCOPED_TRACE(shape.cols);
    const RmsNormCase<T> c(shape);
    const std::vector<float> rstd = reference_rstd(c);
    auto dx = untouched<T>(c.x.size());
    rms_norm_backward(c.dy.data(), c.x.data(), c.weight.data(), rstd.data(), c.dresidual.data(),
                      shape, dx.data());
    // One rounding of a sum of numbers that may cancel.
    EXPECT_TRUE(close(dx, reference_backward(c, c.dresidual), Tolerances<T>::kSum));
  }
}

TEST(RmsNorm, RoundsWhereTransformersDoes) {
  // x * rstd = 1 / sqrt(0.5 * (1 + 9)) = 0.4472 rounds to 0.447265625 in bf16, and 3 * rstd to
  // 1.34375; unrounded, 1.34164 * 1.4921875 would round to 2, not to 2.015625.
  const std::vector<bf16> x = {kernels::to_bf16(1.0f), kernels::to_bf16(3.0f)};
  const std::vector<bf16> weight = {kernels::to_bf16(1.0f), kernels::to_bf16(1.4921875f)};
  std::vector<bf16> y(2);
  const RmsNormShape shape = {.rows = 1, .cols = 2, .x_stride = 2, .y_stride = 2};
  rms_norm_forward(x.data(), weight.data(), 0.0f, shape, y.data(), nullptr);
  EXPECT_EQ(kernels::to_float(y[0]), 0.447265625f);
  EXPECT_EQ(kernels::to_float(y[1]), kernels::to_float(kernels::to_bf16(1.34375f * 1.4921875f)));
}

TEST(RmsNorm, BackwardRoundsTheSumWithTheResidualOnce) {
  // The norm's part is 2^-8 + 2^-18. Added to 1 that is past the middle between 1 and the next
  // bf16; rounded to 2^-8 first, it would lie in the middle and the sum round to 1.
  const std::vector<bf16> dy = {kernels::to_bf16(0x1p-8f)};
  const std::vector<bf16> x = {kernels::to_bf16(0.0f)};
  const std::vector<bf16> weight = {kernels::to_bf16(1.0f)};
  const std::vector<float> rstd = {1.0f + 0x1p-10f};
  const std::vector<bf16> dresidual = {kernels::to_bf16(1.0f)};
  std::vector<bf16> dx(1);
  const RmsNormShape shape = {.rows = 1, .cols = 1, .x_stride = 1, .y_stride = 1};
  rms_norm_backward(dy.data(), x.data(), weight.data(), rstd.data(), dresidual.data(), shape,
                    dx.data());
  EXPECT_EQ(kernels::to_float(dx[0]), 1.0078125f);
}

TEST(RmsNorm, BackwardMayOverwriteItsInputs) {
  const RmsNormCase<float> c(norm_shape(9, 1, 33, 0, 0));
  const std::vector<float> rstd(9, 0.9f);
  std::vector<float> apart(c.x.size());
  std::vector<float> over_dy = c.dy;
  std::vector<float> over_x = c.x;
  std::vector<float> over_dresidual = c.dresidual;
  const auto run = [&](const float* dy, const float* x, const float* dresidual, float* dx) {
    rms_norm_backward(dy, x, c.weight.data(), rstd.data(), dresidual, c.shape, dx);
  };
  run(c.dy.data(), c.x.data(), c.dresidual.data(), apart.data());
  run(over_dy.data(), c.x.data(), c.dresidual.data(), over_dy.data());
  run(c.dy.data(), over_x.data(), c.dresidual.data(), over_x.data());
  run(c.dy.data(), c.x.data(), over_dresidual.data(), over_dresidual.data());
  EXPECT_EQ(over_dy, apart);
  EXPECT_EQ(over_x, apart);
  EXPECT_EQ(over_dresidual, apart);
}

TEST(RmsNorm, ThreadsDoNotChangeTheBits) {
  const RmsNormCase<float> c(norm_shape(300, 1, 576, 3, 1));
  std::vector<float> one(c.dy.size());
  std::vector<float> two = one;
  const auto run = [&](std::vector<float>& y) {
    rms_norm_forward(c.x.data(), c.weight.data(), kEps, c.shape, y.data(), nullptr);
  };
  testing::with_threads(1, [&] { run(one); });
  testing::with_threads(2, [&] { run(two); });
  EXPECT_EQ(one, two);
}

}  // namespace
}  // namespace rung
