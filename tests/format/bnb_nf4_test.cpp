#include "format/bnb_nf4.h"

#include <gtest/gtest.h>

#include <bit>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "format/float_convert.h"
#include "format/model_folder.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using rung::testing::expect_error;
using rung::testing::TempDir;

const char* const kWeight = "model.layers.0.self_attn.q_proj.weight";  // [64, 64]

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(RUNG_TEST_DATA) / "golden" / "format" / name;
}

template <typename T>
std::vector<T> read_tensor(const ModelFolder& folder, const std::string& name) {
  std::vector<T> values(static_cast<size_t>(folder.info(name).bytes) / sizeof(T));
  folder.read(name, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

std::vector<float> block_scales(const ModelFolder& folder, const BnbNf4Weight& weight) {
  if (!weight.double_quant) return read_tensor<float>(folder, weight.absmax);
  const auto codes = read_tensor<uint8_t>(folder, weight.absmax);
  const auto map = read_tensor<float>(folder, weight.nested_quant_map);
  const auto nested = read_tensor<float>(folder, weight.nested_absmax);
  std::vector<float> scales;
  for (size_t i = 0; i < codes.size(); ++i) {
    scales.push_back(map[codes[i]] * nested[i / 256] + weight.offset);
  }
  return scales;
}

float rounded_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return bfloat16_to_float(static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
}

double sum_of_first_row(const ModelFolder& folder, const BnbNf4Weight& weight) {
  const auto packed = read_tensor<uint8_t>(folder, weight.packed);
  const auto table = read_tensor<float>(folder, weight.quant_map);
  const std::vector<float> scales = block_scales(folder, weight);
  double sum = 0;
  for (size_t i = 0; i < static_cast<size_t>(weight.shape[1]); ++i) {
    const uint8_t byte = packed[i / 2];
    const float value = table[i % 2 == 0 ? byte >> 4 : byte & 15] * scales[i / 64];
    sum += rounded_to_bfloat16(value);
  }
  return sum;
}

void expect_same_values_as_bitsandbytes(const std::string& name, bool double_quant) {
  const ModelFolder folder(golden(name));
  std::ifstream file(golden(name) / "checksums.json");
  const auto sums = nlohmann::json::parse(file);
  ASSERT_EQ(folder.nf4_weights().size(), 7U);
  for (const auto& [weight_name, weight] : folder.nf4_weights()) {
    EXPECT_EQ(weight.double_quant, double_quant);
    EXPECT_EQ(weight.dtype, "bfloat16");
    // The same doubles in another order: only their last digits differ.
    EXPECT_NEAR(sum_of_first_row(folder, weight), sums.at(weight_name).get<double>(), 1e-12);
  }
}

// Copies bnb_double with the bytes of one tensor replaced by what `change` makes of them.
void expect_change_refused(const std::string& suffix, ExitCode code, const std::string& words,
                           const std::function<void(TensorToWrite&, std::string&)>& change) {
  const TempDir dir;
  std::filesystem::copy(golden("bnb_double"), dir.path());
  const SafetensorsFile file(golden("bnb_double") / "model.safetensors");
  std::map<std::string, std::string> data;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, info] : file.tensors()) {
    std::string& bytes = data[name];
    bytes.resize(static_cast<size_t>(info.bytes));
    file.read(name, 0, std::as_writable_bytes(std::span(bytes)));
    TensorToWrite tensor{.name = name, .dtype = info.dtype, .shape = info.shape, .data = {}};
    if (name == kWeight + suffix) change(tensor, bytes);
    tensor.data = std::as_bytes(std::span(bytes));
    tensors.push_back(tensor);
  }
  write_safetensors(dir / "model.safetensors", tensors, {});
  expect_error(code, words, [&] { ModelFolder folder(dir.path()); });
}

void expect_state_refused(const std::string& key, const nlohmann::json& value, ExitCode code,
                          const std::string& words) {
  expect_change_refused(".quant_state.bitsandbytes__nf4", code, words,
                        [&](TensorToWrite& tensor, std::string& bytes) {
                          auto state = nlohmann::json::parse(bytes);
                          state[key] = value;
                          bytes = state.dump();
                          tensor.shape = {static_cast<int64_t>(bytes.size())};
                        });
}

TEST(BnbNf4, ReadsTheValuesOfBitsandbytes) { expect_same_values_as_bitsandbytes("bnb", false); }

TEST(BnbNf4, ReadsTheValuesOfDoubleQuantisation) {
  expect_same_values_as_bitsandbytes("bnb_double", true);
}

TEST(BnbNf4, NamesItsTensors) {
  const ModelFolder folder(golden("bnb_double"));
  const BnbNf4Weight& weight = folder.nf4_weights().at(kWeight);
  EXPECT_EQ(weight.shape, (std::vector<int64_t>{64, 64}));
  EXPECT_EQ(weight.num_blocks(), 64);
  EXPECT_EQ(weight.packed, kWeight);
  for (const std::string& companion : companions_of(weight)) EXPECT_TRUE(folder.has(companion));
}

TEST(BnbNf4, StateIsJson) {
  expect_change_refused(".quant_state.bitsandbytes__nf4", ExitCode::kDamaged, "malformed JSON",
                        [](TensorToWrite&, std::string& bytes) { bytes[0] = 'x'; });
}

TEST(BnbNf4, UnsupportedVariantsAreNamed) {
  expect_state_refused("quant_type", "fp4", ExitCode::kConfig, "'quant_type' is not supported");
  expect_state_refused("blocksize", 128, ExitCode::kConfig,
                       "'blocksize' is not supported: got 128");
  expect_state_refused("nested_blocksize", 64, ExitCode::kConfig, "'nested_blocksize'");
  expect_state_refused("nested_dtype", "float16", ExitCode::kConfig, "'nested_dtype'");
  expect_state_refused("dtype", "int8", ExitCode::kConfig, "'dtype' is not supported");
}

TEST(BnbNf4, ShapeIsThatOfTheConfig) {
  expect_state_refused("shape", {32, 128}, ExitCode::kDamaged,
                       "'shape' is missing or malformed: got [32,128], expected [64, 64]");
}

TEST(BnbNf4, OffsetIsANumber) {
  expect_state_refused("nested_offset", nullptr, ExitCode::kDamaged, "'nested_offset'");
}

TEST(BnbNf4, TableIsNf4) {
  expect_change_refused(".quant_map", ExitCode::kDamaged, "is not the NF4 table: got entry 0",
                        [](TensorToWrite&, std::string& bytes) { bytes[2] = 0; });
}

TEST(BnbNf4, NestedMapStaysInRange) {
  expect_change_refused(".nested_quant_map", ExitCode::kDamaged, "has a value out of range",
                        [](TensorToWrite&, std::string& bytes) { bytes[3] = 0x7f; });
}

TEST(BnbNf4, CompanionsHaveTheirForm) {
  const auto shorten = [](TensorToWrite& tensor, std::string& bytes) {
    tensor.shape[0] -= 1;
    bytes.resize(bytes.size() - size_in_bytes(tensor.dtype));
  };
  for (const char* suffix : {"", ".absmax", ".quant_map", ".nested_absmax", ".nested_quant_map"}) {
    expect_change_refused(suffix, ExitCode::kDamaged, "of a 4-bit weight has the wrong form",
                          shorten);
  }
}

TEST(BnbNf4, CompanionsArePresent) {
  const auto rename = [](TensorToWrite& tensor, std::string&) { tensor.name = "elsewhere"; };
  expect_change_refused(".quant_map", ExitCode::kDamaged, ".quant_map' is missing", rename);
  expect_change_refused(".quant_state.bitsandbytes__nf4", ExitCode::kDamaged,
                        "bitsandbytes__nf4' is missing", rename);
}

TEST(BnbNf4, Fp4IsNamed) {
  expect_change_refused(".quant_state.bitsandbytes__nf4", ExitCode::kConfig, "quantised to FP4",
                        [](TensorToWrite& tensor, std::string&) {
                          tensor.name = std::string(kWeight) + ".quant_state.bitsandbytes__fp4";
                        });
}

}  // namespace
}  // namespace rung::format
