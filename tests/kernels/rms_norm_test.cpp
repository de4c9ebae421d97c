#include "kernels/rms_norm.h"

#include "tests/reference/rms_norm.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::cpu::rms_norm_backward;
using kernels::cpu::rms_norm_forward;
using kernels::cpu::RmsNormShape;
using testing::random_values;
using testing::Tolerances;
using testing::widen;

constexpr float kEps = 1e-5f;

template <typename T>
std::vector<double> vector_of(const std::vector<T>& x, int64_t begin, int64_t count) {
  return widen(std::vector<T>(x.begin() + begin, x.begin() + begin + count));
}

// Rows with a gap of 3 elements behind each, so that a wrong stride shows.
RmsNormShape shape_of(int64_t rows, int64_t heads, int64_t cols) {
  return {.rows = rows,
          .cols = cols,
          .x_stride = heads * cols + 3,
          .y_stride = heads * cols + 1,
          .heads = heads};
}

template <typename T, typename Out>
void check_forward(int64_t rows, int64_t heads, int64_t cols) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << heads << " x " << cols);
  const RmsNormShape shape = shape_of(rows, heads, cols);
  const auto x = random_values<T>(rows * shape.x_stride, 1, 2.0);
  const auto weight = random_values<T>(cols, 2);
  std::vector<Out> y(static_cast<size_t>(rows * shape.y_stride), kernels::from_float<Out>(7.0f));
  std::vector<float> rstd(static_cast<size_t>(rows * heads));
  rms_norm_forward<T, Out>(x.data(), weight.data(), kEps, shape, y.data(), rstd.data());
  std::vector<double> expected(y.size(), 7.0);
  std::vector<double> expected_rstd;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t head = 0; head < heads; ++head) {
      const auto result = reference::rms_norm(
          vector_of(x, row * shape.x_stride + head * cols, cols), widen(weight), kEps);
      std::copy(result.y.begin(), result.y.end(),
                expected.begin() + row * shape.y_stride + head * cols);
      expected_rstd.push_back(result.rstd);
    }
  }
  EXPECT_TRUE(testing::close(y, expected, Tolerances<T>::kElementwise));
  EXPECT_TRUE(testing::close(rstd, expected_rstd, Tolerances<float>::kElementwise));
}

template <typename T, typename Grad>
void check_backward(int64_t rows, int64_t heads, int64_t cols) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << heads << " x " << cols);
  const RmsNormShape shape = shape_of(rows, heads, cols);
  const auto x = random_values<T>(rows * shape.x_stride, 1, 2.0);
  const auto weight = random_values<T>(cols, 2);
  const auto dy = random_values<Grad>(rows * shape.y_stride, 3);
  std::vector<float> rstd;
  std::vector<T> dx(x.size(), kernels::from_float<T>(7.0f));
  std::vector<double> expected(x.size(), 7.0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t head = 0; head < heads; ++head) {
      const auto vector = vector_of(x, row * shape.x_stride + head * cols, cols);
      rstd.push_back(static_cast<float>(reference::rms_norm(vector, widen(weight), kEps).rstd));
      const auto gradient = reference::rms_norm_backward(
          vector_of(dy, row * shape.y_stride + head * cols, cols), vector, widen(weight), kEps);
      std::copy(gradient.begin(), gradient.end(),
                expected.begin() + row * shape.x_stride + head * cols);
    }
  }
  rms_norm_backward<T, Grad>(dy.data(), x.data(), weight.data(), rstd.data(), shape, dx.data());
  EXPECT_TRUE(testing::close(dx, expected, Tolerances<T>::kElementwise));
}

TEST(RmsNorm, ForwardMatchesReference) {
  for (const int64_t cols : {1, 31, 33, 576, 1025}) {
    check_forward<float, float>(5, 1, cols);
    check_forward<bf16, bf16>(5, 1, cols);
    check_forward<bf16, float>(5, 1, cols);
  }
}

TEST(RmsNorm, ForwardNormalisesEachHead) {
  check_forward<float, float>(33, 3, 64);
  check_forward<bf16, bf16>(33, 3, 80);
}

TEST(RmsNorm, BackwardMatchesReference) {
  for (const int64_t cols : {1, 31, 33, 576, 1025}) {
    check_backward<float, float>(5, 1, cols);
    check_backward<bf16, bf16>(5, 1, cols);
    check_backward<bf16, float>(5, 1, cols);
  }
}

TEST(RmsNorm, BackwardTreatsEachHead) {
  check_backward<float, float>(33, 3, 64);
  check_backward<bf16, bf16>(33, 3, 80);
}

TEST(RmsNorm, RoundsWhereTransformersDoes) {
  // x * rstd = 1 / sqrt(0.5 * (1 + 9)) = 0.4472 rounds to 0.447265625 in bf16, and 3 * rstd to
  // 1.34375; unrounded, 1.34164 * 1.4921875 would round to 2, not to 2.015625.
  const std::vector<bf16> x = {kernels::to_bf16(1.0f), kernels::to_bf16(3.0f)};
  const std::vector<bf16> weight = {kernels::to_bf16(1.0f), kernels::to_bf16(1.4921875f)};
  std::vector<float> y(2);
  const RmsNormShape shape = {.rows = 1, .cols = 2, .x_stride = 2, .y_stride = 2};
  rms_norm_forward<bf16, float>(x.data(), weight.data(), 0.0f, shape, y.data(), nullptr);
  EXPECT_EQ(y[0], 0.447265625f);
  EXPECT_EQ(y[1], kernels::to_float(kernels::to_bf16(1.34375f * 1.4921875f)));
}

TEST(RmsNorm, BackwardMayOverwriteItsInputs) {
  const RmsNormShape shape = {.rows = 9, .cols = 33, .x_stride = 33, .y_stride = 33};
  const auto x = random_values<float>(9 * 33, 1);
  const auto weight = random_values<float>(33, 2);
  const auto dy = random_values<float>(9 * 33, 3);
  const std::vector<float> rstd(9, 0.9f);
  std::vector<float> apart(x.size());
  rms_norm_backward(dy.data(), x.data(), weight.data(), rstd.data(), shape, apart.data());
  std::vector<float> over_dy = dy;
  rms_norm_backward(over_dy.data(), x.data(), weight.data(), rstd.data(), shape, over_dy.data());
  std::vector<float> over_x = x;
  rms_norm_backward(dy.data(), over_x.data(), weight.data(), rstd.data(), shape, over_x.data());
  EXPECT_EQ(over_dy, apart);
  EXPECT_EQ(over_x, apart);
}

TEST(RmsNorm, ThreadsDoNotChangeTheBits) {
  const int64_t rows = 300;
  const RmsNormShape shape = shape_of(rows, 1, 576);
  const auto x = random_values<float>(rows * shape.x_stride, 1);
  const auto weight = random_values<float>(576, 2);
  std::vector<float> one(static_cast<size_t>(rows * shape.y_stride));
  std::vector<float> two = one;
  testing::with_threads(
      1, [&] { rms_norm_forward(x.data(), weight.data(), kEps, shape, one.data(), nullptr); });
  testing::with_threads(
      2, [&] { rms_norm_forward(x.data(), weight.data(), kEps, shape, two.data(), nullptr); });
  EXPECT_EQ(one, two);
}

}  // namespace
}  // namespace rung
