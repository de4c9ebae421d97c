#include "kernels/swiglu.h"

#include <limits>

#include "tests/kernels/swiglu_case.h"
#include "tests/kernels/swiglu_rounding.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::fp16;
using kernels::SwigluShape;
using kernels::cpu::swiglu_backward;
using kernels::cpu::swiglu_forward;
using testing::random_values;
using testing::swiglu_shape;
using testing::SwigluCase;
using testing::Tolerances;
using testing::untouched;

// Rows of odd and of round lengths, dense and with gaps behind them.
const std::vector<SwigluShape> kShapes = {
    swiglu_shape(7, 1),           swiglu_shape(7, 31),
    swiglu_shape(7, 33),          swiglu_shape(7, 1025),
    swiglu_shape(7, 1536),        swiglu_shape(7, 1, 1, 3),
    swiglu_shape(7, 33, 5, 1),    swiglu_shape(7, 1025, 0, 7),
    swiglu_shape(7, 1536, 16, 0), swiglu_shape(7, 1536, 32, 16),
};

template <typename T>
void check_forward(const SwigluShape& shape) {
  SCOPED_TRACE(::testing::Message() << shape.inter << " of " << shape.y_stride);
  const SwigluCase<T> c(shape);
  auto y = untouched<T>(c.dy.size());
  swiglu_forward(c.gate_up.data(), shape, y.data());
  EXPECT_TRUE(testing::close(y, c.expected_y(), Tolerances<T>::kElementwise));
}

// Apart, and over the operands; h is what the forward pass gives, bit for bit.
template <typename T>
void check_backward(const SwigluShape& shape) {
  SCOPED_TRACE(::testing::Message() << shape.inter << " of " << shape.gate_up_stride);
  const SwigluCase<T> c(shape);
  auto y = untouched<T>(c.dy.size());
  swiglu_forward(c.gate_up.data(), shape, y.data());

  auto apart = untouched<T>(c.gate_up.size());
  auto h = untouched<T>(c.dy.size());
  swiglu_backward(c.dy.data(), c.gate_up.data(), shape, apart.data(), h.data());
  EXPECT_TRUE(testing::close(apart, c.expected_gradient(untouched<T>(c.gate_up.size())),
                             Tolerances<T>::kElementwise));
  EXPECT_TRUE(testing::close(h, y, testing::kExact));

  auto over_gate_up = c.gate_up;
  auto over_dy = c.dy;
  swiglu_backward(over_dy.data(), over_gate_up.data(), shape, over_gate_up.data(), over_dy.data());
  EXPECT_TRUE(testing::close(over_gate_up, c.in_place(apart), testing::kExact));
  EXPECT_TRUE(testing::close(over_dy, c.output_in_place(y), testing::kExact));
}

TEST(Swiglu, ForwardMatchesReference) {
  for (const SwigluShape& shape : kShapes) {
    check_forward<float>(shape);
    check_forward<bf16>(shape);
    check_forward<fp16>(shape);
  }
}

template <typename T>
void check_rounding() {
  const auto gate_up = random_values<T>(2 * 1025, 1);
  std::vector<T> y(1025);
  swiglu_forward(gate_up.data(), swiglu_shape(1, 1025), y.data());
  EXPECT_EQ(testing::count_misrounded(gate_up, y), 0);
}

TEST(Swiglu, RoundsSiluAndTheProduct) {
  check_rounding<bf16>();
  check_rounding<fp16>();
}

TEST(Swiglu, BackwardMatchesReferenceApartAndInPlace) {
  for (const SwigluShape& shape : kShapes) {
    check_backward<float>(shape);
    check_backward<bf16>(shape);
    check_backward<fp16>(shape);
  }
}

TEST(Swiglu, SaturatesAtLargeGates) {
  const std::vector<float> gate_up = {-1e4f, -100.0f, 100.0f, 1e4f, 2.0f, 2.0f, 2.0f, 2.0f};
  std::vector<float> y(4);
  swiglu_forward(gate_up.data(), swiglu_shape(1, 4), y.data());
  EXPECT_TRUE(testing::close(y, std::vector<double>{0.0, 0.0, 200.0, 2e4},
                             Tolerances<float>::kElementwise));
}

TEST(Swiglu, KeepsNan) {
  const std::vector<float> gate_up = {std::numeric_limits<float>::quiet_NaN(), 1.0f};
  std::vector<float> y(1);
  swiglu_forward(gate_up.data(), swiglu_shape(1, 1), y.data());
  EXPECT_TRUE(std::isnan(y[0]));
}

}  // namespace
}  // namespace rung
