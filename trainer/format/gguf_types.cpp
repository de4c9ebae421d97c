#include "format/gguf_types.h"

#include <array>
#include <cassert>

namespace rung::format {

namespace {

struct SupportedType {
  GgmlType type;
  GgmlBlock block;
};

// Q4_0: f16 scale, 16 bytes. Q4_1: f16 scale, f16 minimum, 16 bytes. Q8_0: f16 scale, 32 bytes.
constexpr std::array<SupportedType, 6> kSupported = {{
    {GgmlType::kF32, {.values = 1, .bytes = 4}},
    {GgmlType::kF16, {.values = 1, .bytes = 2}},
    {GgmlType::kBF16, {.values = 1, .bytes = 2}},
    {GgmlType::kQ4_0, {.values = 32, .bytes = 18}},
    {GgmlType::kQ4_1, {.values = 32, .bytes = 20}},
    {GgmlType::kQ8_0, {.values = 32, .bytes = 34}},
}};

// Indexed by the number in the file; "" for numbers that ggml has withdrawn.
constexpr std::array<std::string_view, 40> kNames = {
    "F32",     "F16",    "Q4_0",    "Q4_1",  "",       "",      "Q5_0",  "Q5_1",
    "Q8_0",    "Q8_1",   "Q2_K",    "Q3_K",  "Q4_K",   "Q5_K",  "Q6_K",  "Q8_K",
    "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS",
    "I8",      "I16",    "I32",     "I64",   "F64",    "IQ1_M", "BF16",  "",
    "",        "",       "TQ1_0",   "TQ2_0", "",       "",      "",      "MXFP4"};

}  // namespace

GgmlBlock block_of(GgmlType type) {
  for (const SupportedType& supported : kSupported) {
    if (supported.type == type) return supported.block;
  }
  assert(false && "every GgmlType is in kSupported");
  return {};
}

std::string_view name_of(GgmlType type) { return ggml_type_name(static_cast<uint32_t>(type)); }

std::optional<GgmlType> supported_ggml_type(uint32_t type) {
  for (const SupportedType& supported : kSupported) {
    if (static_cast<uint32_t>(supported.type) == type) return supported.type;
  }
  return std::nullopt;
}

std::string_view ggml_type_name(uint32_t type) { return type < kNames.size() ? kNames[type] : ""; }

std::string supported_ggml_types() {
  std::string list;
  for (const SupportedType& supported : kSupported) {
    list += (list.empty() ? "" : ", ") + std::string(name_of(supported.type));
  }
  return list;
}

}  // namespace rung::format
