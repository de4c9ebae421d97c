// Element types of files (safetensors names) and their sizes.
#pragma once

#include <cstdint>
#include <string_view>

namespace rung::format {

enum class DType {
  kBool,
  kU8,
  kI8,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64,
  kF8E5M2,
  kF8E4M3
};

int64_t size_in_bytes(DType dtype);     // of one element
std::string_view name_of(DType dtype);  // "BF16", as safetensors spells it

}  // namespace rung::format
