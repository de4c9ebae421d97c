#include "format/dtype.h"

#include <array>
#include <cassert>

namespace rung::format {

namespace {

struct DTypeFacts {
  DType dtype;
  std::string_view name;
  int64_t bits;
};

constexpr std::array<DTypeFacts, 22> kFacts = {{
    {DType::kBool, "BOOL", 8},
    {DType::kF4, "F4", 4},
    {DType::kF6E2M3, "F6_E2M3", 6},
    {DType::kF6E3M2, "F6_E3M2", 6},
    {DType::kU8, "U8", 8},
    {DType::kI8, "I8", 8},
    {DType::kF8E5M2, "F8_E5M2", 8},
    {DType::kF8E4M3, "F8_E4M3", 8},
    {DType::kF8E8M0, "F8_E8M0", 8},
    {DType::kF8E4M3FNUZ, "F8_E4M3FNUZ", 8},
    {DType::kF8E5M2FNUZ, "F8_E5M2FNUZ", 8},
    {DType::kI16, "I16", 16},
    {DType::kU16, "U16", 16},
    {DType::kF16, "F16", 16},
    {DType::kBF16, "BF16", 16},
    {DType::kI32, "I32", 32},
    {DType::kU32, "U32", 32},
    {DType::kF32, "F32", 32},
    {DType::kC64, "C64", 64},
    {DType::kF64, "F64", 64},
    {DType::kI64, "I64", 64},
    {DType::kU64, "U64", 64},
}};

constexpr bool facts_follow_the_enum() {
  for (size_t i = 0; i < kFacts.size(); ++i) {
    if (kFacts[i].dtype != static_cast<DType>(i)) return false;
  }
  return true;
}
static_assert(facts_follow_the_enum());

const DTypeFacts& facts_of(DType dtype) { return kFacts.at(static_cast<size_t>(dtype)); }

}  // namespace

int64_t size_in_bits(DType dtype) { return facts_of(dtype).bits; }

int64_t size_in_bytes(DType dtype) {
  const int64_t bits = size_in_bits(dtype);
  assert(bits % 8 == 0);
  return bits / 8;
}

std::string_view name_of(DType dtype) { return facts_of(dtype).name; }

std::optional<DType> dtype_named(std::string_view name) {
  for (const DTypeFacts& facts : kFacts) {
    if (facts.name == name) return facts.dtype;
  }
  return std::nullopt;
}

}  // namespace rung::format
