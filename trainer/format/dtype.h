// Element types of files (safetensors names) and their sizes.
//
// The enumerators stand in the order of alignment in which the reference writer declares them:
// it sorts the tensors of a file by it, descending. Source: huggingface/safetensors, tensor.rs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace rung::format {

enum class DType {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3FNUZ,
  kF8E5M2FNUZ,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64
};

int64_t size_in_bits(DType dtype);      // of one element
int64_t size_in_bytes(DType dtype);     // of one element; asserts that it is whole bytes
std::string_view name_of(DType dtype);  // "BF16", as safetensors spells it
std::optional<DType> dtype_named(std::string_view name);

}  // namespace rung::format
