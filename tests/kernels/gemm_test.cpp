#include "kernels/gemm.h"

#include <algorithm>
#include <cmath>

#include "tests/kernels/gemm_case.h"

namespace rung {
namespace {

using kernels::cpu::gemm;
using kernels::cpu::GemmOperand;
using kernels::cpu::GemmResult;
using kernels::cpu::GemmShape;
using kernels::cpu::GemmStore;
using kernels::cpu::kGemmFewRows;
using testing::GemmCase;
using testing::GemmLayout;
using testing::kGemmLayouts;
using testing::Side;

template <typename Types>
class Gemm : public ::testing::Test {
 protected:
  using In = typename Types::In;
  using Out = typename Types::Result;
  using Case = GemmCase<In, Out>;

  static void check(const GemmShape& shape, const GemmLayout& layout, float alpha,
                    GemmStore store) {
    const Case c(shape, layout, alpha, store);
    c.check(c.run());
  }

  // The first `count` rows of c's product, multiplied alone.
  static std::vector<Out> first_rows(const Case& c, int64_t count) {
    std::vector<Out> result = c.c;
    gemm<In, Out>({count, c.shape.n, c.shape.k}, c.alpha, c.a.view, c.b.view,
                  GemmResult<Out>{result.data(), c.stride, c.store});
    result.resize(static_cast<size_t>(count * c.stride));
    return result;
  }

  static std::vector<Out> first_rows_of(std::vector<Out> whole, const Case& c, int64_t count) {
    whole.resize(static_cast<size_t>(count * c.stride));
    return whole;
  }
};

TYPED_TEST_SUITE(Gemm, testing::AllGemmTypes);

// Around the edges of register blocks, panels, blocks of rows and of depth.
TYPED_TEST(Gemm, MatchesReferenceAtEverySize) {
  for (const GemmLayout& layout : kGemmLayouts) {
    for (const int64_t m : {1, 2, 5, 16, 17, 31, 97}) {
      for (const int64_t n : {1, 15, 16, 33, 49}) {
        this->check({m, n, 33}, layout, 1.0f, GemmStore::kSet);
      }
    }
    for (const int64_t k : {1, 2, 383, 384, 385, 1025}) {
      this->check({19, 17, k}, layout, 0.5f, GemmStore::kAdd);
      this->check({3, 5, k}, layout, 0.5f, GemmStore::kAdd);
    }
  }
}

// More than a task or a packing takes, in each dimension. Every way that leads there is taken with
// smaller blocks in gemm_blocked_test.cpp.
TYPED_TEST(Gemm, MatchesReferenceBeyondItsBlocks) {
  for (const Side b : {Side::kRows, Side::kColumns}) {
    this->check({20, 530, 40}, {Side::kRows, b}, 1.0f, GemmStore::kSet);
    this->check({18, 20, 8100}, {Side::kRows, b}, 1.0f, GemmStore::kAdd);
    this->check({300, 3, 5}, {Side::kColumns, b}, 1.0f, GemmStore::kSet);
  }
}

TYPED_TEST(Gemm, SettingDoesNotReadTheResult) {
  using Out = typename TypeParam::Result;
  for (const int64_t m : {4, 40}) {
    for (const int64_t k : {0, 9}) {
      typename TestFixture::Case c({m, 7, k}, {Side::kRows, Side::kColumns}, 1.0f, GemmStore::kSet);
      std::ranges::fill(c.c, kernels::from_float<Out>(NAN));
      EXPECT_TRUE(testing::close(c.run(), c.expected(), c.tolerance()));
    }
  }
}

TYPED_TEST(Gemm, AnEmptySumIsZero) {
  for (const GemmLayout& layout : kGemmLayouts) {
    for (const int64_t m : {4, 40}) {
      this->check({m, 7, 0}, layout, 0.5f, GemmStore::kSet);
      this->check({m, 7, 0}, layout, 0.5f, GemmStore::kAdd);
    }
  }
}

// What is not a number or not finite must arrive in its row or column, and nowhere else.
TYPED_TEST(Gemm, CarriesNanAndInfinity) {
  using In = typename TypeParam::In;
  for (const GemmLayout& layout : kGemmLayouts) {
    for (const int64_t m : {4, 40}) {
      for (const float value : {NAN, HUGE_VALF, -HUGE_VALF}) {
        typename TestFixture::Case in_a({m, 20, 33}, layout, 1.0f, GemmStore::kSet);
        in_a.a.at(2, 32) = kernels::from_float<In>(value);
        in_a.check(in_a.run());
        typename TestFixture::Case in_b({m, 20, 33}, layout, 1.0f, GemmStore::kSet);
        in_b.b.at(32, 17) = kernels::from_float<In>(value);
        in_b.check(in_b.run());
      }
    }
  }
}

TYPED_TEST(Gemm, HasTheSameBitsWithEveryNumberOfThreads) {
  for (const int64_t m : {9, 250}) {
    const typename TestFixture::Case c({m, 100, 500}, {Side::kRows, Side::kColumns}, 1.0f,
                                       GemmStore::kAdd);
    const auto alone = testing::bits_of(c.run());
    for (const int threads : {2, 3, 5}) {
      testing::with_threads(threads, [&] { EXPECT_EQ(testing::bits_of(c.run()), alone); });
    }
  }
}

// A micro-batch that is split in two has the same activations.
TYPED_TEST(Gemm, RowsDoNotDependOnOneAnother) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  for (const GemmLayout& layout : kGemmLayouts) {
    SCOPED_TRACE(name_of(layout));
    const typename TestFixture::Case c({300, 40, 700}, layout, 1.0f, GemmStore::kSet);
    std::vector<Out> parts = c.c;
    for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 130}, {130, 170}}) {
      GemmOperand<In> a = c.a.view;
      a.data += first * a.row_stride;
      gemm<In, Out>({count, 40, 700}, 1.0f, a, c.b.view,
                    GemmResult<Out>{parts.data() + first * c.stride, c.stride});
    }
    EXPECT_EQ(testing::bits_of(parts), testing::bits_of(c.run()));
  }
}

TYPED_TEST(Gemm, LayoutsChangeNoBitBeyondFewRows) {
  for (const auto store : {GemmStore::kSet, GemmStore::kAdd}) {
    const GemmShape shape{kGemmFewRows + 1, 40, 700};
    const typename TestFixture::Case first(shape, kGemmLayouts[0], 0.5f, store);
    const auto expected = testing::bits_of(first.run());
    for (const GemmLayout& layout : kGemmLayouts) {
      SCOPED_TRACE(name_of(layout));
      const typename TestFixture::Case c(shape, layout, 0.5f, store);
      EXPECT_EQ(testing::bits_of(c.run()), expected);
    }
  }
}

// Few rows are dot products where both operands lie along the sum, and like any others elsewhere.
TYPED_TEST(Gemm, FewRowsHaveTheBitsOfManyUnlessBothOperandsLieAlongTheSum) {
  for (const GemmLayout& layout : kGemmLayouts) {
    SCOPED_TRACE(name_of(layout));
    const typename TestFixture::Case c({kGemmFewRows + 1, 40, 700}, layout, 1.0f, GemmStore::kSet);
    const auto few = this->first_rows(c, kGemmFewRows);
    const auto of_many = this->first_rows_of(c.run(), c, kGemmFewRows);
    if (layout.has_rows_and_columns()) {
      EXPECT_TRUE(testing::close(few, testing::widen(of_many), c.tolerance()));
    } else {
      EXPECT_EQ(testing::bits_of(few), testing::bits_of(of_many));
    }
  }
}

TYPED_TEST(Gemm, FewRowsDoNotDependOnOneAnother) {
  for (const GemmLayout& layout : kGemmLayouts) {
    SCOPED_TRACE(name_of(layout));
    const typename TestFixture::Case c({kGemmFewRows, 41, 701}, layout, 1.0f, GemmStore::kSet);
    for (const int64_t count : {1, 3, 6}) {
      EXPECT_EQ(testing::bits_of(this->first_rows(c, count)),
                testing::bits_of(this->first_rows_of(c.run(), c, count)));
    }
  }
}

TYPED_TEST(Gemm, EmptyResultsAreLeftAlone) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  gemm<In, Out>({0, 4, 4}, 1.0f, {}, {}, GemmResult<Out>{});
  gemm<In, Out>({4, 0, 4}, 1.0f, {}, {}, GemmResult<Out>{});
}

}  // namespace
}  // namespace rung
