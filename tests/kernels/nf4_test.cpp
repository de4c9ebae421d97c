// NF4 on the CPU: against the double-precision reference, and the AVX2 loops against the plain
// ones. Equality with bitsandbytes is in nf4_golden_test.cpp.
#include "kernels/nf4.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/nf4_blocks.h"
#include "tests/kernels/nf4_helpers.h"
#include "tests/reference/nf4.h"

namespace rung::test {
namespace {

using kernels::bf16;
using kernels::fp16;

const std::vector<size_t> kSizes = {1, 2, 31, 33, 63, 64, 65, 1025, 576 * 64, 16384 * 3 + 97};

template <typename T>
std::vector<double> to_double(const std::vector<T>& x) {
  std::vector<double> values;
  for (const T& value : x) values.push_back(kernels::to_float(value));
  return values;
}

template <typename T>
class Nf4Quantize : public ::testing::Test {};
using Types = ::testing::Types<float, bf16, fp16>;
TYPED_TEST_SUITE(Nf4Quantize, Types);

TYPED_TEST(Nf4Quantize, PicksTheNearestValue) {
  for (size_t n : kSizes) {
    const std::vector<TypeParam> x = random_weights<TypeParam>(n);
    const Nf4Codes got = quantize_on_cpu(x);
    const reference::Nf4Codes expected = reference::nf4_quantize(to_double(x));
    for (size_t i = 0; i < n; ++i) {
      const int code = i % 2 == 0 ? got.codes[i / 2] >> 4 : got.codes[i / 2] & 15;
      // Two float roundings of x / absmax, each of 2^-24, may cross a boundary.
      if (expected.margins[i] > 2.5e-7) ASSERT_EQ(code, expected.codes[i]) << i << " of " << n;
    }
  }
}

TYPED_TEST(Nf4Quantize, StoresTheLargestMagnitudeExactly) {
  for (size_t n : kSizes) {
    const std::vector<TypeParam> x = random_weights<TypeParam>(n);
    const Nf4Codes got = quantize_on_cpu(x);
    EXPECT_EQ(to_double(got.absmax), reference::nf4_quantize(to_double(x)).absmax) << n;
  }
}

template <typename T>
void expect_dequantized(double relative, double absolute) {
  for (size_t n : kSizes) {
    const Nf4Codes w = quantize_on_cpu(random_weights<T>(n));
    std::vector<T> got(n);
    kernels::cpu::nf4_dequantize(plain_view(w, n), got.data());
    const std::vector<double> expected = reference::nf4_dequantize(w.codes, to_double(w.absmax), n);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_NEAR(kernels::to_float(got[i]), expected[i],
                  relative * std::fabs(expected[i]) + absolute)
          << i << " of " << n;
    }
  }
}

// Tolerances: half a unit in the last place of T, after one of float; fp16 has subnormals here.
TEST(Nf4Dequantize, RoundsOnceToFloat) { expect_dequantized<float>(0x1p-24, 0.0); }
TEST(Nf4Dequantize, RoundsOnceToBf16) { expect_dequantized<bf16>(0x1.001p-8, 0.0); }
TEST(Nf4Dequantize, RoundsOnceToFp16) { expect_dequantized<fp16>(0x1.01p-11, 0x1p-25); }

// Blocks of everything a weight should not be, beside ordinary ones.
template <typename T>
std::vector<T> hard_blocks() {
  std::vector<T> x = random_weights<T>(64 * 8);
  const float infinity = std::numeric_limits<float>::infinity();
  const float special[] = {0.0f, -0.0f, 1e-38f, 1e-42f, 3e38f, infinity, std::nanf("")};
  for (size_t i = 0; i < std::size(special); ++i) {
    x[64 * i + 11] = kernels::from_float<T>(special[i]);
    x[64 * i + 50] = kernels::from_float<T>(-special[i]);
  }
  return x;
}

TYPED_TEST(Nf4Quantize, Avx2LoopEqualsPortableLoop) {
  if (!kernels::cpu::has_avx2()) GTEST_SKIP() << "this processor has no AVX2";
  for (const auto& x : {random_weights<TypeParam>(64 * 300), hard_blocks<TypeParam>()}) {
    Nf4Codes plain = nf4_buffers(x.size());
    Nf4Codes fast = nf4_buffers(x.size());
    const auto num_blocks = static_cast<int64_t>(x.size() / 64);
    kernels::cpu::portable::nf4_quantize_blocks(x.data(), num_blocks, plain.codes.data(),
                                                plain.absmax.data());
    kernels::cpu::avx2::nf4_quantize_blocks(x.data(), num_blocks, fast.codes.data(),
                                            fast.absmax.data());
    EXPECT_TRUE(same_bytes(fast.codes, plain.codes));
    EXPECT_TRUE(same_bytes(fast.absmax, plain.absmax));
  }
}

template <typename T>
void expect_same_dequantized() {
  const std::vector<T> x = hard_blocks<T>();
  const Nf4Codes w = quantize_on_cpu(x);
  std::vector<T> plain(x.size());
  std::vector<T> fast(x.size());
  const auto num_blocks = static_cast<int64_t>(x.size() / 64);
  kernels::cpu::portable::nf4_dequantize_blocks(w.codes.data(), w.absmax.data(), num_blocks,
                                                plain.data());
  kernels::cpu::avx2::nf4_dequantize_blocks(w.codes.data(), w.absmax.data(), num_blocks,
                                            fast.data());
  // A NaN block aside (its last, sign bits are the processor's): the seventh.
  plain.resize(64 * 6);
  fast.resize(64 * 6);
  EXPECT_TRUE(same_bytes(fast, plain));
}

TEST(Nf4Dequantize, Avx2LoopEqualsPortableLoop) {
  if (!kernels::cpu::has_avx2()) GTEST_SKIP() << "this processor has no AVX2";
  expect_same_dequantized<float>();
  expect_same_dequantized<bf16>();
  expect_same_dequantized<fp16>();
}

TEST(Nf4Dequantize, WritesNothingBehindAnOddTail) {
  const size_t n = 1025;
  const Nf4Codes w = quantize_on_cpu(random_weights<bf16>(n));
  std::vector<bf16> out(n + 64, bf16{0x1234});
  kernels::cpu::nf4_dequantize(plain_view(w, n), out.data());
  for (size_t i = n; i < out.size(); ++i) ASSERT_EQ(out[i].bits, 0x1234) << i;
}

// Rows of whole blocks, shorter and longer than 256 of them; rows that cut blocks, and that lie in
// one; whole numbers of rows and a part of one; several threads' worth.
struct RowsCase {
  kernels::Nf4Rows rows;
  size_t n;
};
const std::vector<RowsCase> kRowsCases = {
    {{64, 64}, 64 * 5},
    {{64, 72}, 64 * 9 + 33},
    {{576, 576 + 16}, 576 * 31},
    {{64 * 300, 64 * 300 + 1}, 64 * 700},
    {{1, 3}, 65},
    {{33, 40}, 33 * 20},
    {{96, 100}, 96 * 7},
    {{1025, 1026}, 1025 * 33 + 9},
    {{8, 24}, 1000},
};

template <typename T>
void expect_rows_equal_a_copy() {
  for (const RowsCase& c : kRowsCases) {
    SCOPED_TRACE(::testing::Message() << c.n << " in rows of " << c.rows.cols);
    const Nf4Codes w = quantize_on_cpu(random_weights<T>(c.n));
    const Nf4NestedScales nested = nest_on_cpu(w.absmax);
    const std::vector<T> before(size_of_rows(c.rows, c.n), kernels::from_float<T>(7.0f));
    for (const kernels::Nf4View& view : {plain_view(w, c.n), nested_view(w, nested, c.n)}) {
      std::vector<T> dense(c.n);
      kernels::cpu::nf4_dequantize(view, dense.data());
      std::vector<T> got = before;
      kernels::cpu::nf4_dequantize(view, c.rows, got.data());
      EXPECT_TRUE(same_bytes(got, copied_to_rows(dense, c.rows, before)));
    }
  }
}

TEST(Nf4Rows, EqualACopyOfTheDenseForm) {
  expect_rows_equal_a_copy<float>();
  expect_rows_equal_a_copy<bf16>();
  expect_rows_equal_a_copy<fp16>();
}

TEST(Nf4Tail, FillsTheUnusedNibbleWithTheCodeOfZero) {
  EXPECT_EQ(quantize_on_cpu<float>({-3.0f}).codes.at(0), 0x07);
}

TEST(Nf4Tail, LeavesAnEmptyTensorAlone) {
  kernels::cpu::nf4_quantize<float>(nullptr, 0, nullptr, nullptr);
  kernels::cpu::nf4_dequantize<float>({}, nullptr);
  kernels::cpu::nf4_dequantize<float>({}, {.cols = 64, .stride = 80}, nullptr);
}

TEST(Nf4Nested, RestoresScalesWithinAStepOfTheMap) {
  const size_t n = 64 * 1000;
  const Nf4Codes w = quantize_on_cpu(random_weights<bf16>(n));
  const Nf4NestedScales nested = nest_on_cpu(w.absmax);
  const float* map = kernels::cpu::nf4_nested_map();
  for (size_t i = 0; i < w.absmax.size(); ++i) {
    const float range = nested.absmax[i / 256];
    // The widest gap between neighbours of the map is 0.0141 of the range; half of it is lost.
    EXPECT_NEAR(map[nested.codes[i]] * range + nested.offset, w.absmax[i], 0.0071f * range) << i;
  }
}

TEST(Nf4Nested, DequantizesAsWithTheRestoredScales) {
  const size_t n = 64 * 700 + 13;
  Nf4Codes w = quantize_on_cpu(random_weights<bf16>(n));
  const Nf4NestedScales nested = nest_on_cpu(w.absmax);
  std::vector<bf16> got(n);
  kernels::cpu::nf4_dequantize(nested_view(w, nested, n), got.data());
  for (size_t i = 0; i < w.absmax.size(); ++i) {
    const float product = kernels::cpu::nf4_nested_map()[nested.codes[i]] * nested.absmax[i / 256];
    w.absmax[i] = product + nested.offset;
  }
  std::vector<bf16> expected(n);
  kernels::cpu::nf4_dequantize(plain_view(w, n), expected.data());
  EXPECT_TRUE(same_bytes(got, expected));
}

TEST(Nf4Nested, MapAscendsAndHasAnExactZeroAndOne) {
  const float* map = kernels::cpu::nf4_nested_map();
  for (int k = 1; k < 256; ++k) EXPECT_LT(map[k - 1], map[k]) << k;
  EXPECT_EQ(map[127], 0.0f);
  EXPECT_EQ(map[255], 1.0f);
}

}  // namespace
}  // namespace rung::test
