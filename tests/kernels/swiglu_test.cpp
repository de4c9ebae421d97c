#include "kernels/swiglu.h"

#include <limits>

#include "tests/kernels/swiglu_rounding.h"
#include "tests/reference/swiglu.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::fp16;
using kernels::cpu::swiglu_backward;
using kernels::cpu::swiglu_backward_with_output;
using kernels::cpu::swiglu_forward;
using testing::random_values;
using testing::Tolerances;
using testing::widen;

template <typename T, typename Out>
void check_forward(int64_t rows, int64_t inter) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << inter);
  const auto gate_up = random_values<T>(rows * 2 * inter, 1, 3.0);
  std::vector<Out> y(static_cast<size_t>(rows * inter));
  swiglu_forward(gate_up.data(), rows, inter, y.data());
  std::vector<double> expected;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < inter; ++i) {
      const T* gate = gate_up.data() + row * 2 * inter + i;
      expected.push_back(
          reference::swiglu(testing::as_double(gate[0]), testing::as_double(gate[inter])));
    }
  }
  EXPECT_TRUE(testing::close(y, expected, Tolerances<T>::kElementwise));
}

template <typename T, typename Grad>
void check_backward(int64_t rows, int64_t inter) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << inter);
  const auto gate_up = random_values<T>(rows * 2 * inter, 1, 3.0);
  const auto dy = random_values<Grad>(rows * inter, 2);
  auto d_gate_up = gate_up;  // in place
  swiglu_backward(dy.data(), d_gate_up.data(), rows, inter, d_gate_up.data());
  std::vector<double> expected(gate_up.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < inter; ++i) {
      const auto at = static_cast<size_t>(row * 2 * inter + i);
      const auto gradient =
          reference::swiglu_backward(testing::as_double(dy[static_cast<size_t>(row * inter + i)]),
                                     testing::as_double(gate_up[at]),
                                     testing::as_double(gate_up[at + static_cast<size_t>(inter)]));
      expected[at] = gradient.gate;
      expected[at + static_cast<size_t>(inter)] = gradient.up;
    }
  }
  EXPECT_TRUE(testing::close(d_gate_up, expected, Tolerances<T>::kElementwise));
}

TEST(Swiglu, ForwardMatchesReference) {
  for (const int64_t inter : {1, 31, 33, 1025, 1536}) {
    check_forward<float, float>(7, inter);
    check_forward<bf16, bf16>(7, inter);
    check_forward<bf16, float>(7, inter);
    check_forward<fp16, fp16>(7, inter);
    check_forward<fp16, float>(7, inter);
  }
}

template <typename T, typename Out>
void check_rounding() {
  const auto gate_up = random_values<T>(2 * 1025, 1);
  std::vector<Out> y(1025);
  swiglu_forward(gate_up.data(), 1, 1025, y.data());
  EXPECT_EQ(testing::count_misrounded(gate_up, y), 0);
}

TEST(Swiglu, RoundsSiluAndTheProduct) {
  check_rounding<bf16, bf16>();
  check_rounding<bf16, float>();
  check_rounding<fp16, fp16>();
  check_rounding<fp16, float>();
}

TEST(Swiglu, BackwardInPlaceMatchesReference) {
  for (const int64_t inter : {1, 31, 33, 1025, 1536}) {
    check_backward<float, float>(7, inter);
    check_backward<bf16, bf16>(7, inter);
    check_backward<bf16, float>(7, inter);
    check_backward<fp16, fp16>(7, inter);
    check_backward<fp16, float>(7, inter);
  }
}

// Exact: the same arithmetic in one pass instead of two.
template <typename T, typename Grad>
void check_with_output(int64_t rows, int64_t inter) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << inter);
  const auto gate_up = random_values<T>(rows * 2 * inter, 1, 3.0);
  const auto dy = random_values<Grad>(rows * inter, 2);
  std::vector<Grad> expected_h(dy.size());
  std::vector<T> expected(gate_up.size());
  swiglu_forward(gate_up.data(), rows, inter, expected_h.data());
  swiglu_backward(dy.data(), gate_up.data(), rows, inter, expected.data());
  auto d_gate_up = gate_up;
  std::vector<Grad> h(dy.size());
  swiglu_backward_with_output(dy.data(), d_gate_up.data(), rows, inter, d_gate_up.data(), h.data());
  EXPECT_TRUE(testing::close(h, expected_h, testing::kExact));
  EXPECT_TRUE(testing::close(d_gate_up, expected, testing::kExact));
}

TEST(Swiglu, BackwardWithOutputEqualsForwardAndBackward) {
  for (const int64_t inter : {1, 31, 33, 1025, 1536}) {
    check_with_output<float, float>(7, inter);
    check_with_output<bf16, bf16>(7, inter);
    check_with_output<bf16, float>(7, inter);
    check_with_output<fp16, fp16>(7, inter);
    check_with_output<fp16, float>(7, inter);
  }
}

TEST(Swiglu, SaturatesAtLargeGates) {
  const std::vector<float> gate_up = {-1e4f, -100.0f, 100.0f, 1e4f, 2.0f, 2.0f, 2.0f, 2.0f};
  std::vector<float> y(4);
  swiglu_forward(gate_up.data(), 1, 4, y.data());
  EXPECT_TRUE(testing::close(y, std::vector<double>{0.0, 0.0, 200.0, 2e4},
                             Tolerances<float>::kElementwise));
}

TEST(Swiglu, KeepsNan) {
  const std::vector<float> gate_up = {std::numeric_limits<float>::quiet_NaN(), 1.0f};
  std::vector<float> y(1);
  swiglu_forward(gate_up.data(), 1, 1, y.data());
  EXPECT_TRUE(std::isnan(y[0]));
}

}  // namespace
}  // namespace rung
