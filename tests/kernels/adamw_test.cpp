#include "kernels/adamw.h"

#include "tests/reference/adamw.h"
#include "tests/support/golden_arrays.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::AdamWParams;
using kernels::cpu::adamw;
using testing::random_values;
using testing::Tolerance;

// A few float roundings of every operand; moments and updates may be tiny.
constexpr Tolerance kTolerance = {.relative = 1e-6, .absolute = 1e-30};
constexpr Tolerance kParamTolerance = {.relative = 1e-6, .absolute = 1e-8};

struct State {
  std::vector<float> param;
  std::vector<float> m;
  std::vector<float> v;
};

void check_golden(const char* name, double weight_decay) {
  const auto golden = test::read_golden(std::string(RUNG_TEST_DATA "/golden/kernels/") + name);
  State state;
  state.param = golden.at("initial").as<float>();
  state.m.resize(state.param.size());
  state.v.resize(state.param.size());
  for (int64_t step = 0; step < 3; ++step) {
    const auto grad = golden.at("grad_" + std::to_string(step)).as<float>();
    adamw(state.param.data(), grad.data(), state.m.data(), state.v.data(),
          static_cast<int64_t>(grad.size()),
          {.learning_rate = 1e-2, .weight_decay = weight_decay, .step = step + 1});
  }
  EXPECT_TRUE(testing::close(state.m, golden.at("m").as<float>(), kTolerance));
  EXPECT_TRUE(testing::close(state.v, golden.at("v").as<float>(), kTolerance));
  EXPECT_TRUE(testing::close(state.param, golden.at("param").as<float>(), kParamTolerance));
}

TEST(AdamW, MatchesTorch) { check_golden("adamw.bin", 0.0); }

TEST(AdamW, MatchesTorchWithWeightDecay) { check_golden("adamw_decay.bin", 0.1); }

TEST(AdamW, MatchesReference) {
  for (const int64_t n : {1, 31, 33, 1025}) {
    State state{random_values<float>(n, 1), random_values<float>(n, 2, 0.1),
                random_values<float>(n, 3, 0.1)};
    for (float& value : state.v) value *= value;
    const auto grad = random_values<float>(n, 4);
    const AdamWParams params = {.learning_rate = 3e-3,
                                .beta1 = 0.8,
                                .beta2 = 0.95,
                                .epsilon = 1e-6,
                                .weight_decay = 0.05,
                                .step = 7,
                                .grad_scale = 0.37};
    std::vector<double> param;
    std::vector<double> m;
    std::vector<double> v;
    for (size_t i = 0; i < grad.size(); ++i) {
      const auto next = reference::adamw({state.param[i], state.m[i], state.v[i]}, grad[i], params);
      param.push_back(next.param);
      m.push_back(next.m);
      v.push_back(next.v);
    }
    adamw(state.param.data(), grad.data(), state.m.data(), state.v.data(), n, params);
    EXPECT_TRUE(testing::close(state.param, param, {.relative = 1e-6, .absolute = 1e-7}));
    EXPECT_TRUE(testing::close(state.m, m, {.relative = 1e-6, .absolute = 1e-7}));
    EXPECT_TRUE(testing::close(state.v, v, {.relative = 1e-6, .absolute = 1e-9}));
  }
}

TEST(AdamW, ThreadsDoNotChangeTheBits) {
  const int64_t n = 100001;
  State states[2];
  for (int i = 0; i < 2; ++i) {
    states[i] = {random_values<float>(n, 1), std::vector<float>(n), std::vector<float>(n)};
    const auto grad = random_values<float>(n, 2);
    testing::with_threads(i + 1, [&] {
      adamw(states[i].param.data(), grad.data(), states[i].m.data(), states[i].v.data(), n,
            {.learning_rate = 1e-3});
    });
  }
  EXPECT_EQ(states[0].param, states[1].param);
  EXPECT_EQ(states[0].v, states[1].v);
}

}  // namespace
}  // namespace rung
