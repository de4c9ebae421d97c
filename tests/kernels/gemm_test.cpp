#include "kernels/gemm.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::bf16;
using kernels::fp16;
using kernels::cpu::gemm;
using kernels::cpu::GemmOperand;
using kernels::cpu::GemmResult;
using kernels::cpu::GemmShape;
using kernels::cpu::GemmStore;
using testing::random_values;
using testing::Tolerance;
using testing::Tolerances;

// How an operand lies in memory: its rows or its columns side by side, with gaps between them.
enum class Side { kRows, kColumns };

struct Layout {
  Side a = Side::kRows;
  Side b = Side::kRows;
};

constexpr int64_t kGap = 3;

template <typename T>
struct Matrix {
  std::vector<T> values;
  GemmOperand<T> view;

  Matrix(int64_t rows, int64_t columns, Side side, uint64_t seed) {
    const int64_t lines = side == Side::kRows ? rows : columns;
    const int64_t stride = (side == Side::kRows ? columns : rows) + kGap;
    values = random_values<T>(lines * stride, seed);
    view = {values.data(), side == Side::kRows ? stride : 1, side == Side::kRows ? 1 : stride};
  }

  double at(int64_t i, int64_t j) const {
    return testing::as_double(
        values[static_cast<size_t>(i * view.row_stride + j * view.column_stride)]);
  }
};

template <typename T, typename Out>
struct Case {
  GemmShape shape;
  float alpha;
  GemmStore store;
  Matrix<T> a;
  Matrix<T> b;
  int64_t stride;
  std::vector<Out> c;

  Case(const GemmShape& s, const Layout& layout, float factor, GemmStore how)
      : shape(s),
        alpha(factor),
        store(how),
        a(s.m, s.k, layout.a, 1),
        b(s.k, s.n, layout.b, 2),
        stride(s.n + kGap),
        c(random_values<Out>(s.m * stride, 3)) {}

  // c after the product, in double; the gaps as they are.
  std::vector<double> expected() const {
    std::vector<double> result = testing::widen(c);
    for (int64_t i = 0; i < shape.m; ++i) {
      for (int64_t j = 0; j < shape.n; ++j) {
        double sum = 0.0;
        for (int64_t l = 0; l < shape.k; ++l) sum += a.at(i, l) * b.at(l, j);
        double& to = result[static_cast<size_t>(i * stride + j)];
        to = (store == GemmStore::kAdd ? to : 0.0) + alpha * sum;
      }
    }
    return result;
  }

  std::vector<Out> run() const {
    std::vector<Out> result = c;
    gemm<T, Out>(shape, alpha, a.view, b.view, GemmResult<Out>{result.data(), stride, store});
    return result;
  }
};

// A sum of k products of order one: float errors grow with it.
template <typename Out>
Tolerance tolerance(int64_t k) {
  Tolerance result = Tolerances<Out>::kSum;
  result.absolute = 1e-6 * std::sqrt(static_cast<double>(k)) * 4.0;
  return result;
}

template <typename T, typename Out>
void check(const GemmShape& shape, const Layout& layout, float alpha, GemmStore store) {
  SCOPED_TRACE(::testing::Message() << shape.m << " x " << shape.n << " x " << shape.k << ", a "
                                    << (layout.a == Side::kRows ? "rows" : "columns") << ", b "
                                    << (layout.b == Side::kRows ? "rows" : "columns") << ", alpha "
                                    << alpha << (store == GemmStore::kAdd ? ", added" : ""));
  const Case<T, Out> c(shape, layout, alpha, store);
  const std::vector<Out> got = c.run();
  EXPECT_TRUE(testing::close(got, c.expected(), tolerance<Out>(shape.k)));
  for (int64_t i = 0; i < shape.m; ++i) {  // the gaps, to the bit
    const auto gap = static_cast<size_t>(i * c.stride + shape.n);
    for (size_t j = gap; j < gap + kGap; ++j) {
      ASSERT_EQ(testing::as_double(got[j]), testing::as_double(c.c[j]));
    }
  }
}

template <typename Types>
class Gemm : public ::testing::Test {};

template <typename T, typename Out>
struct Types {
  using In = T;
  using Result = Out;
};
using AllTypes =
    ::testing::Types<Types<bf16, bf16>, Types<bf16, float>, Types<fp16, fp16>, Types<fp16, float>>;
TYPED_TEST_SUITE(Gemm, AllTypes);

// Around the edges of register blocks, panels, blocks of rows and of depth.
TYPED_TEST(Gemm, MatchesReferenceAtEverySize) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  for (const Side a : {Side::kRows, Side::kColumns}) {
    for (const Side b : {Side::kRows, Side::kColumns}) {
      for (const int64_t m : {1, 2, 5, 16, 17, 31, 97}) {
        for (const int64_t n : {1, 15, 16, 33, 49}) {
          check<In, Out>({m, n, 33}, {a, b}, 1.0f, GemmStore::kSet);
        }
      }
      for (const int64_t k : {1, 2, 383, 384, 385, 1025}) {
        check<In, Out>({19, 17, k}, {a, b}, 0.5f, GemmStore::kAdd);
        check<In, Out>({3, 5, k}, {a, b}, 0.5f, GemmStore::kAdd);
      }
    }
  }
}

// More than is packed at a time, in each dimension.
TYPED_TEST(Gemm, MatchesReferenceBeyondItsBlocks) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  for (const Side b : {Side::kRows, Side::kColumns}) {
    check<In, Out>({20, 530, 40}, {Side::kRows, b}, 1.0f, GemmStore::kSet);
    check<In, Out>({18, 20, 8100}, {Side::kRows, b}, 1.0f, GemmStore::kAdd);
    check<In, Out>({4040, 3, 5}, {Side::kColumns, b}, 1.0f, GemmStore::kSet);
  }
}

TYPED_TEST(Gemm, SettingDoesNotReadTheResult) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  for (const int64_t m : {4, 40}) {
    Case<In, Out> c({m, 7, 9}, {Side::kRows, Side::kColumns}, 1.0f, GemmStore::kSet);
    std::ranges::fill(c.c, kernels::from_float<Out>(NAN));
    const std::vector<Out> got = c.run();
    for (int64_t i = 0; i < m; ++i) {
      EXPECT_FALSE(std::isnan(testing::as_double(got[static_cast<size_t>(i * c.stride)])));
    }
  }
}

// What is not a number must arrive, wherever it stands.
TYPED_TEST(Gemm, CarriesNan) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  for (const int64_t m : {4, 40}) {
    Case<In, Out> c({m, 20, 33}, {Side::kRows, Side::kColumns}, 1.0f, GemmStore::kSet);
    c.a.values[static_cast<size_t>(2 * c.a.view.row_stride + 32)] = kernels::from_float<In>(NAN);
    const std::vector<Out> got = c.run();
    for (int64_t j = 0; j < 20; ++j) {
      EXPECT_TRUE(std::isnan(testing::as_double(got[static_cast<size_t>(2 * c.stride + j)])));
      EXPECT_FALSE(std::isnan(testing::as_double(got[static_cast<size_t>(c.stride + j)])));
    }
  }
}

TYPED_TEST(Gemm, HasTheSameBitsWithEveryNumberOfThreads) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  for (const int64_t m : {9, 250}) {
    const Case<In, Out> c({m, 100, 500}, {Side::kRows, Side::kColumns}, 1.0f, GemmStore::kAdd);
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
  const Case<In, Out> whole({300, 40, 700}, {Side::kRows, Side::kColumns}, 1.0f, GemmStore::kSet);
  const std::vector<Out> all = whole.run();
  std::vector<Out> parts = whole.c;
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 130}, {130, 170}}) {
    GemmOperand<In> a = whole.a.view;
    a.data += first * a.row_stride;
    gemm<In, Out>({count, 40, 700}, 1.0f, a, whole.b.view,
                  GemmResult<Out>{parts.data() + first * whole.stride, whole.stride});
  }
  EXPECT_EQ(testing::bits_of(parts), testing::bits_of(all));
}

TYPED_TEST(Gemm, EmptyResultsAreLeftAlone) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  gemm<In, Out>({0, 4, 4}, 1.0f, {}, {}, GemmResult<Out>{});
  gemm<In, Out>({4, 0, 4}, 1.0f, {}, {}, GemmResult<Out>{});
}

}  // namespace
}  // namespace rung
