#include "kernels/adamw_8bit.h"

#include <limits>

#include "tests/kernels/adamw_8bit_case.h"
#include "tests/reference/dynamic_map.h"

namespace rung {
namespace {

using kernels::AdamWParams;
using testing::AdamW8bitState;
using testing::random_values;

struct FloatState {
  explicit FloatState(std::vector<float> initial)
      : param(std::move(initial)), m(param.size()), v(param.size()) {}

  void update(const std::vector<float>& grad, const AdamWParams& params) {
    kernels::cpu::adamw(param.data(), grad.data(), m.data(), v.data(),
                        static_cast<int64_t>(param.size()), params);
  }

  std::vector<float> param;
  std::vector<float> m;
  std::vector<float> v;
};

constexpr AdamWParams kParams = {.learning_rate = 1e-2, .weight_decay = 0.1, .grad_scale = 0.7};

TEST(AdamW8bit, FirstStepMovesParametersAsFloatMomentsDo) {
  for (const int64_t n : {1, 31, 33, 256, 1025, 36867}) {
    const auto grad = testing::spread_gradients(n, 2);
    AdamW8bitState state(random_values<float>(n, 1));
    FloatState expected(state.param);
    state.update(grad, kParams);
    expected.update(grad, kParams);
    EXPECT_EQ(state.param, expected.param) << n;
  }
}

// Half the distance between neighbours in the map is the most that rounding takes; for v only the
// raise from 0 to the smallest code comes on top.
TEST(AdamW8bit, StoresTheNearestValuesOfTheMaps) {
  const int64_t n = 1025;
  const auto grad = testing::spread_gradients(n, 2);
  AdamW8bitState state(random_values<float>(n, 1));
  FloatState exact(state.param);
  state.update(grad, kParams);
  exact.update(grad, kParams);
  const auto signed_map = reference::dynamic_map(true);
  const auto unsigned_map = reference::dynamic_map(false);
  for (size_t i = 0; i < grad.size(); ++i) {
    const double m_absmax = state.m_absmax[i / 256];
    const double v_absmax = state.v_absmax[i / 256];
    const double m = exact.m[i] / m_absmax;
    const double v = exact.v[i] / v_absmax;
    EXPECT_LE(std::abs(state.m(i) / m_absmax - m),
              reference::distance_to_map(m, signed_map) + 3e-6 * std::abs(m))
        << i;
    const bool is_raised = v > 0.0 && v < unsigned_map[1] / 2;
    const double v_distance = reference::distance_to_map(v, unsigned_map);
    EXPECT_LE(std::abs(state.v(i) / v_absmax - v),
              is_raised ? 1.000001 * unsigned_map[1] : v_distance + 3e-6 * v)
        << i;
    EXPECT_EQ(state.v(i) == 0.0f, exact.v[i] == 0.0f) << i;
  }
}

TEST(AdamW8bit, AbsmaxIsTheLargestMagnitudeOfTheBlock) {
  AdamW8bitState state(std::vector<float>(300));
  std::vector<float> grad(300, 0.25f);
  grad[100] = -4.0f;
  grad[299] = 2.0f;
  state.update(grad, {.learning_rate = 1e-3, .beta1 = 0.5, .beta2 = 0.75});
  EXPECT_EQ(state.m_absmax, (std::vector<float>{2.0f, 1.0f}));
  EXPECT_EQ(state.v_absmax, (std::vector<float>{4.0f, 1.0f}));
}

TEST(AdamW8bit, BytesOfZeroAreTheInitialState) {
  const auto grad = testing::spread_gradients(1025, 2);
  AdamW8bitState state(random_values<float>(1025, 1));
  AdamW8bitState zero_bytes = state;
  std::fill(zero_bytes.m_codes.begin(), zero_bytes.m_codes.end(), uint8_t{0});
  state.update(grad, kParams);
  zero_bytes.update(grad, kParams);
  EXPECT_EQ(state, zero_bytes);
}

TEST(AdamW8bit, GradientsOfZeroLeaveTheInitialState) {
  const AdamW8bitState initial(random_values<float>(300, 1));
  AdamW8bitState state = initial;
  std::fill(state.m_codes.begin(), state.m_codes.end(), uint8_t{0});
  state.update(std::vector<float>(300), {.learning_rate = 1e-2});
  EXPECT_EQ(state, initial);
}

// f = sum of c (p - t)^2 / 2, curvatures c over two decades, from p = 0; noise as minibatches have.
template <typename State>
double loss_after(int64_t steps) {
  const int64_t n = 1025;
  const auto target = random_values<float>(n, 1);
  State state((std::vector<float>(static_cast<size_t>(n))));
  std::vector<float> grad(static_cast<size_t>(n));
  double loss = 0.0;
  for (int64_t step = 1; step <= steps; ++step) {
    const auto noise = random_values<float>(n, 100 + static_cast<uint64_t>(step), 0.05);
    loss = 0.0;
    for (size_t i = 0; i < grad.size(); ++i) {
      const float curvature = std::pow(10.0f, -static_cast<float>(i % 5) / 2.0f);
      const float distance = state.param[i] - target[i];
      grad[i] = curvature * (distance + noise[i]);
      loss += 0.5 * curvature * distance * distance;
    }
    state.update(grad, {.learning_rate = 2e-2, .step = step});
  }
  return loss / static_cast<double>(n);
}

TEST(AdamW8bit, ConvergesAsFloatMomentsDo) {
  const double start = loss_after<FloatState>(1);
  const double exact = loss_after<FloatState>(200);
  const double got = loss_after<AdamW8bitState>(200);
  EXPECT_LT(exact, 0.01 * start);
  EXPECT_LT(got, 0.01 * start);
  EXPECT_NEAR(got, exact, 0.2 * exact);
}

// Steady gradients, all but one far below the block's largest: with v stored as 0 the second step
// would be some 30 learning rates, and with the gradient gone in the third one, millions.
TEST(AdamW8bit, SmallSecondMomentsDoNotBlowUpTheUpdate) {
  const double rate = 1e-3;
  AdamW8bitState state(std::vector<float>(256));
  std::vector<float> grad(256);
  for (size_t i = 0; i < grad.size(); ++i) {
    grad[i] = i == 0 ? 1.0f : std::pow(10.0f, -1.0f - static_cast<float>(i) / 50.0f);
  }
  for (int64_t step = 1; step <= 20; ++step) {
    if (step == 10) std::fill(grad.begin() + 1, grad.end(), 0.0f);
    const auto before = state.param;
    state.update(grad, {.learning_rate = rate, .step = step});
    for (size_t i = 0; i < grad.size(); ++i) {
      ASSERT_LE(std::abs(state.param[i] - before[i]), 2.0 * rate) << step << ' ' << i;
    }
  }
}

TEST(AdamW8bit, BadGradientSpoilsItsBlockOnly) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    AdamW8bitState state(random_values<float>(600, 1));
    auto grad = random_values<float>(600, 2);
    grad[300] = bad;
    for (int64_t step = 1; step <= 2; ++step) {
      state.update(grad, {.learning_rate = 1e-3, .step = step});
    }
    for (size_t i = 0; i < 600; ++i) EXPECT_EQ(std::isnan(state.param[i]), i / 256 == 1) << i;
  }
}

TEST(AdamW8bit, TinyMomentsStayFinite) {
  AdamW8bitState state(std::vector<float>(256, 1.0f));
  std::vector<float> grad(256, 1e-37f);
  grad[7] = 1e-42f;
  for (int64_t step = 1; step <= 5; ++step) {
    state.update(grad, {.learning_rate = 1e-3, .step = step});
  }
  for (size_t i = 0; i < 256; ++i) EXPECT_EQ(state.param[i], 1.0f) << i;
}

TEST(AdamW8bit, ThreadsDoNotChangeTheBits) {
  AdamW8bitState states[2] = {AdamW8bitState(random_values<float>(100001, 1)),
                              AdamW8bitState(random_values<float>(100001, 1))};
  for (int i = 0; i < 2; ++i) {
    testing::with_threads(i + 1, [&] {
      for (int64_t step = 1; step <= 2; ++step) {
        states[i].update(testing::spread_gradients(100001, static_cast<uint64_t>(step)),
                         {.learning_rate = 1e-3, .step = step});
      }
    });
  }
  EXPECT_EQ(states[0], states[1]);
}

}  // namespace
}  // namespace rung
