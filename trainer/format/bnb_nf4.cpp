#include "format/bnb_nf4.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>

#include "base/error.h"
#include "base/json.h"
#include "format/json_fields.h"

namespace rung::format {

namespace {

constexpr int64_t kBlockSize = 64;
constexpr int64_t kNestedBlockSize = 256;
constexpr std::string_view kStateSuffix = ".quant_state.bitsandbytes__nf4";
constexpr std::string_view kFp4StateSuffix = ".quant_state.bitsandbytes__fp4";

constexpr std::array<float, 16> kNf4Table = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

void check_tensor(const Shards& shards, const std::string& name, DType dtype,
                  const std::vector<int64_t>& shape) {
  const TensorInfo& info = shards.info(name);
  if (info.dtype == dtype && info.shape == shape) return;
  throw Error(ExitCode::kDamaged,
              {.what = "tensor '" + name + "' of a 4-bit weight has the wrong form",
               .got = fmt::format("{} {}", name_of(info.dtype), info.shape),
               .expected = fmt::format("{} {}", name_of(dtype), shape),
               .where = shards.place_of(name)});
}

// Values of an F32 tensor of `count` elements that was checked already.
std::vector<float> read_floats(const Shards& shards, const std::string& name, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  shards.read(name, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

Json read_state(const Shards& shards, const std::string& weight) {
  constexpr int64_t kMaxStateBytes = 64 << 10;
  if (shards.has(weight + std::string(kFp4StateSuffix))) {
    throw Error(ExitCode::kConfig, {.what = "tensor '" + weight + "' is quantised to FP4",
                                    .expected = "NF4 (bnb_4bit_quant_type: nf4)",
                                    .where = shards.place_of(weight)});
  }
  const std::string name = weight + std::string(kStateSuffix);
  const TensorInfo& info = shards.info(name);
  if (info.dtype != DType::kU8 || info.bytes > kMaxStateBytes) {
    throw Error(ExitCode::kDamaged,
                {.what = "tensor '" + name + "' has the wrong form",
                 .got = fmt::format("{} of {} bytes", name_of(info.dtype), info.bytes),
                 .expected = fmt::format("U8 of at most {} bytes", kMaxStateBytes),
                 .where = shards.place_of(name)});
  }
  std::string text(static_cast<size_t>(info.bytes), '\0');
  shards.read(name, 0, std::as_writable_bytes(std::span(text)));
  return parse_json(text, name);
}

void check_state(const JsonFields& state, const std::vector<int64_t>& expected_shape) {
  if (state.text("quant_type") != "nf4") state.refuse("quant_type", "nf4");
  if (state.integer("blocksize", {}) != kBlockSize) state.refuse("blocksize", "64");
  const std::string dtype = state.text("dtype").value_or("");
  if (dtype != "bfloat16" && dtype != "float16" && dtype != "float32") {
    state.refuse("dtype", "bfloat16, float16 or float32");
  }
  const Json* shape = state.find("shape");
  if (shape == nullptr || *shape != Json(expected_shape)) {
    state.damaged("shape", fmt::format("{}, as config.json implies", expected_shape));
  }
}

void read_nested_state(const Shards& shards, const JsonFields& state, BnbNf4Weight& weight) {
  constexpr double kMaxOffset = 1e30;
  if (state.integer("nested_blocksize", {}) != kNestedBlockSize) {
    state.refuse("nested_blocksize", "256");
  }
  if (state.text("nested_dtype") != "float32") state.refuse("nested_dtype", "float32");
  const std::optional<double> offset =
      state.number("nested_offset", {.above = -kMaxOffset, .max = kMaxOffset});
  if (!offset) state.damaged("nested_offset", "a number");
  weight.double_quant = true;
  weight.offset = static_cast<float>(*offset);
  weight.nested_absmax = weight.packed + ".nested_absmax";
  weight.nested_quant_map = weight.packed + ".nested_quant_map";
  check_tensor(shards, weight.nested_absmax, DType::kF32,
               {ceil_div(weight.num_blocks(), kNestedBlockSize)});
  check_tensor(shards, weight.nested_quant_map, DType::kF32, {256});
  for (const float value : read_floats(shards, weight.nested_quant_map, 256)) {
    if (std::abs(value) <= 1.0F) continue;
    throw Error(ExitCode::kDamaged,
                {.what = "tensor '" + weight.nested_quant_map + "' has a value out of range",
                 .got = fmt::format("{}", value),
                 .expected = "-1..1",
                 .where = shards.place_of(weight.nested_quant_map)});
  }
}

void check_table(const Shards& shards, const std::string& name) {
  check_tensor(shards, name, DType::kF32, {16});
  const std::vector<float> table = read_floats(shards, name, 16);
  for (size_t i = 0; i < kNf4Table.size(); ++i) {
    if (table[i] == kNf4Table[i]) continue;
    throw Error(ExitCode::kDamaged, {.what = "tensor '" + name + "' is not the NF4 table",
                                     .got = fmt::format("entry {} = {}", i, table[i]),
                                     .expected = fmt::format("{}", kNf4Table[i]),
                                     .where = shards.place_of(name)});
  }
}

}  // namespace

bool is_bnb_4bit(const Shards& shards, const std::string& weight) {
  return shards.has(weight + ".absmax");
}

BnbNf4Weight read_bnb_nf4(const Shards& shards, const std::string& weight,
                          const std::vector<int64_t>& expected_shape) {
  const Json json = read_state(shards, weight);
  const JsonFields state(json, shards.place_of(weight) + ": " + weight);
  check_state(state, expected_shape);

  BnbNf4Weight result;
  result.shape = expected_shape;
  result.dtype = *state.text("dtype");
  result.packed = weight;
  result.absmax = weight + ".absmax";
  result.quant_map = weight + ".quant_map";
  check_tensor(shards, weight, DType::kU8, {ceil_div(result.num_elements(), 2), 1});
  check_table(shards, result.quant_map);
  if (shards.has(weight + ".nested_absmax")) read_nested_state(shards, state, result);
  check_tensor(shards, result.absmax, result.double_quant ? DType::kU8 : DType::kF32,
               {result.num_blocks()});
  return result;
}

std::vector<std::string> companions_of(const BnbNf4Weight& weight) {
  std::vector<std::string> names = {weight.absmax, weight.quant_map,
                                    weight.packed + std::string(kStateSuffix)};
  if (weight.double_quant) {
    names.push_back(weight.nested_absmax);
    names.push_back(weight.nested_quant_map);
  }
  return names;
}

}  // namespace rung::format
