#include "kernels/attention.h"

#include "tests/kernels/attention_case.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::fp16;
using testing::AttentionCase;
using testing::AttentionProblem;
using testing::Tolerance;
using testing::Tolerances;

// bf16: the gradients also carry the rounding of the stored out (2^-9 of it) through D = dout .
// out, an error that scales with the values around, not with the value itself.
constexpr Tolerance kBf16Gradient = {.relative = 0x1p-7, .absolute = 0.02};
constexpr Tolerance kFp16Gradient = {.relative = 0x1p-10, .absolute = 0.0025};

std::vector<AttentionCase> cases() {
  return {
      {1, 1, 16, {{1, 1}}},
      {2, 1, 16, {{5, 5}, {1, 1}, {31, 31}}},
      {4, 2, 64, {{33, 33}, {130, 130}, {64, 64}}},
      {9, 3, 64, {{200, 200}, {17, 17}}},
      {2, 2, 80, {{129, 129}, {65, 65}}},
      {3, 1, 128, {{150, 150}}},
      {2, 1, 33, {{70, 70}, {3, 3}}},
      {1, 1, 256, {{100, 100}}},
      {2, 2, 64, {{401, 401}}},
      {40, 1, 8, {{13, 13}}},
      // More keys than queries: tokens behind a cache.
      {4, 2, 64, {{1, 1}, {1, 300}, {7, 150}}},
      {2, 2, 16, {{70, 333}, {33, 40}}},
  };
}

template <typename T>
void check(const AttentionCase& attention_case, const Tolerance& gradient_tolerance) {
  SCOPED_TRACE(::testing::Message() << attention_case);
  AttentionProblem<T> problem(attention_case);
  const auto expected = testing::expected_of(problem);
  problem.forward();
  EXPECT_TRUE(testing::close(problem.out, expected.out, Tolerances<T>::kSum));
  EXPECT_TRUE(testing::close(problem.lse, expected.lse, Tolerances<float>::kSum));
  problem.backward();
  EXPECT_TRUE(testing::close(problem.dq, expected.dq, gradient_tolerance)) << "dq";
  EXPECT_TRUE(testing::close(problem.dk, expected.dk, gradient_tolerance)) << "dk";
  EXPECT_TRUE(testing::close(problem.dv, expected.dv, gradient_tolerance)) << "dv";
}

TEST(Attention, MatchesReferenceInFloat) {
  for (const auto& attention_case : cases()) check<float>(attention_case, Tolerances<float>::kSum);
}

TEST(Attention, MatchesReferenceInBf16) {
  for (const auto& attention_case : cases()) check<bf16>(attention_case, kBf16Gradient);
}

TEST(Attention, MatchesReferenceInFp16) {
  for (const auto& attention_case : cases()) check<fp16>(attention_case, kFp16Gradient);
}

TEST(Attention, MatchesReferenceOnALongDocument) {
  check<float>({1, 1, 16, {{1025, 1025}}}, Tolerances<float>::kSum);
}

TEST(Attention, WritesTheSameWithoutLogSumExps) {
  AttentionProblem<float> problem({4, 2, 64, {{33, 33}, {130, 130}}});
  problem.forward();
  const auto out = problem.out;
  kernels::cpu::attention_forward<float>(problem.q.data(), problem.k.data(), problem.v.data(),
                                         problem.shape, problem.segments, problem.out.data(),
                                         nullptr);
  EXPECT_EQ(problem.out, out);
}

TEST(Attention, TokensDoNotSeeLaterOnes) {
  AttentionProblem<float> problem({1, 1, 64, {{200, 200}}});
  problem.forward();
  const auto before = problem.out;
  const int64_t changed = 1 + 150;  // row 0 belongs to no document
  for (int64_t i = changed * problem.shape.k_stride; i < std::ssize(problem.k); ++i) {
    problem.k[static_cast<size_t>(i)] = -3.0f;
  }
  problem.forward();
  const auto end = changed * problem.shape.out_stride;
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + end, problem.out.begin()));
  EXPECT_NE(before, problem.out);
}

TEST(Attention, SurvivesLargeScores) {
  AttentionProblem<float> problem({1, 1, 16, {{100, 100}}});
  for (float& value : problem.q) value *= 100.0f;
  for (float& value : problem.k) value *= 10.0f;
  const auto expected = testing::expected_of(problem);
  problem.forward();
  // Scores of some thousand carry errors of 2^-24 of themselves into the exponent.
  EXPECT_TRUE(testing::close(problem.out, expected.out, {.relative = 2e-3, .absolute = 2e-3}));
}

TEST(Attention, NanInADocumentStaysThere) {
  AttentionProblem<float> problem({2, 1, 64, {{70, 70}, {70, 70}}});
  problem.q[static_cast<size_t>(10 * problem.shape.q_stride)] = NAN;
  problem.forward();
  EXPECT_TRUE(std::isnan(problem.out[static_cast<size_t>(10 * problem.shape.out_stride)]));
  const auto second = problem.out.begin() + 71 * problem.shape.out_stride;
  EXPECT_TRUE(std::none_of(second, problem.out.end(), [](float x) { return std::isnan(x); }));
}

TEST(Attention, ThreadsDoNotChangeTheBits) {
  for (const AttentionCase& attention_case :
       {AttentionCase{9, 3, 64, {{300, 300}, {17, 17}}}, AttentionCase{1, 1, 64, {{500, 500}}}}) {
    AttentionProblem<float> one(attention_case);
    AttentionProblem<float> three(attention_case);
    testing::with_threads(1, [&] {
      one.forward();
      one.backward();
    });
    testing::with_threads(3, [&] {
      three.forward();
      three.backward();
    });
    EXPECT_EQ(one.out, three.out);
    EXPECT_EQ(one.lse, three.lse);
    EXPECT_EQ(one.dq, three.dq);
    EXPECT_EQ(one.dk, three.dk);
    EXPECT_EQ(one.dv, three.dv);
  }
}

}  // namespace
}  // namespace rung
