// NF4 on the CPU equals bitsandbytes byte for byte. The files come from
// scripts/make_nf4_golden.py, which runs bitsandbytes' CPU backend.
//
// Known differences, all outside these files: the mean behind double quantisation follows torch on
// one thread with 8-wide vectors, so torch with several threads (above 32,768 blocks) or AVX-512
// may differ in its last bit and with it a few codes; the payload of NaN.
#include <gtest/gtest.h>

#include <functional>

#include "kernels/nf4.h"
#include "tests/kernels/nf4_helpers.h"
#include "tests/support/golden_arrays.h"

namespace rung::test {
namespace {

using kernels::bf16;
using kernels::fp16;

const std::filesystem::path kFolder = std::filesystem::path(RUNG_TEST_DATA) / "golden" / "nf4";

// Calls `check` on every golden file that has an array of this name; fails when there is none.
void for_each_file_with(const std::string& array,
                        const std::function<void(const GoldenArrays&)>& check) {
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const GoldenArrays golden = read_golden(entry.path());
    if (!golden.contains(array)) continue;
    SCOPED_TRACE(entry.path().filename().string());
    check(golden);
    ++num_files;
  }
  EXPECT_GT(num_files, 0);
}

template <typename T>
void expect_same_codes(const GoldenArrays& golden) {
  const Nf4Codes got = quantize_on_cpu(golden.at("x").as<T>());
  EXPECT_TRUE(same_bytes(got.codes, golden.at("codes").as<uint8_t>()));
  if (golden.contains("absmax")) {
    EXPECT_TRUE(same_bytes(got.absmax, golden.at("absmax").as<float>()));
  }
}

template <typename T>
void expect_same_values(const GoldenArrays& golden, const std::string& name) {
  const size_t n = golden.at("x").count;
  const Nf4Codes w = {golden.at("codes").as<uint8_t>(), golden.at("absmax").as<float>()};
  std::vector<T> got(n);
  kernels::cpu::nf4_dequantize(plain_view(w, n), got.data());
  EXPECT_TRUE(same_bytes(got, golden.at(name).as<T>()));
}

// The scales; stored as bfloat16 where that loses nothing.
std::vector<float> scales(const GoldenArray& array) {
  if (array.dtype == "float32") return array.as<float>();
  std::vector<float> values;
  for (bf16 value : array.as<bf16>()) values.push_back(kernels::to_float(value));
  return values;
}

TEST(Nf4Golden, CodesAndScalesEqualBitsandbytes) {
  for_each_file_with("x", [](const GoldenArrays& golden) {
    const std::string& dtype = golden.at("x").dtype;
    if (dtype == "float32") expect_same_codes<float>(golden);
    if (dtype == "bfloat16") expect_same_codes<bf16>(golden);
    if (dtype == "float16") expect_same_codes<fp16>(golden);
  });
}

TEST(Nf4Golden, ValuesEqualBitsandbytes) {
  for_each_file_with("values_float32", [](const GoldenArrays& golden) {
    expect_same_values<float>(golden, "values_float32");
    expect_same_values<bf16>(golden, "values_bfloat16");
    expect_same_values<fp16>(golden, "values_float16");
  });
}

TEST(Nf4Golden, NestedScalesEqualBitsandbytes) {
  for_each_file_with("restored", [](const GoldenArrays& golden) {
    const Nf4NestedScales got = nest_on_cpu(scales(golden.at("absmax")));
    EXPECT_EQ(got.offset, golden.at("offset").as<float>().at(0));
    EXPECT_TRUE(same_bytes(got.absmax, golden.at("nested_absmax").as<float>()));
    EXPECT_TRUE(same_bytes(got.codes, golden.at("codes").as<uint8_t>()));
  });
}

TEST(Nf4Golden, NestedMapEqualsBitsandbytes) {
  const GoldenArrays golden = read_golden(kFolder / "nested.bin");
  const float* map = kernels::cpu::nf4_nested_map();
  EXPECT_TRUE(same_bytes(std::vector<float>(map, map + 256), golden.at("nested_map").as<float>()));
}

TEST(Nf4Golden, NestedValuesEqualBitsandbytes) {
  const GoldenArrays golden = read_golden(kFolder / "nested.bin");
  const std::vector<bf16> expected = golden.at("values_bfloat16").as<bf16>();
  const Nf4Codes w = {golden.at("codes").as<uint8_t>(), {}};
  const Nf4NestedScales nested = {golden.at("absmax_codes").as<uint8_t>(),
                                  golden.at("nested_absmax").as<float>(),
                                  golden.at("offset").as<float>().at(0)};
  std::vector<bf16> got(expected.size());
  kernels::cpu::nf4_dequantize(nested_view(w, nested, got.size()), got.data());
  EXPECT_TRUE(same_bytes(got, expected));
}

}  // namespace
}  // namespace rung::test
