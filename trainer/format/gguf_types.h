// Element types of GGUF tensors: names, block sizes, and which of them rung reads.
//
// A quantised type stores blocks of 32 values along the innermost dimension, each with its scale.
// Source: ggml.h (enum ggml_type) and ggml-common.h (block structures).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rung::format {

enum class GgmlType : uint32_t { kF32 = 0, kF16 = 1, kQ4_0 = 2, kQ4_1 = 3, kQ8_0 = 8, kBF16 = 30 };

// How values are stored: `values` of them in `bytes` bytes, indivisibly.
struct GgmlBlock {
  int64_t values = 1;
  int64_t bytes = 0;
};

GgmlBlock block_of(GgmlType type);
std::string_view name_of(GgmlType type);

// The type with the number `type` of a file, where rung reads it.
std::optional<GgmlType> supported_ggml_type(uint32_t type);
// The name ggml has for a number, "" where it has none.
std::string_view ggml_type_name(uint32_t type);
// "F32, F16, ...": the types that rung reads, for messages.
std::string supported_ggml_types();

}  // namespace rung::format
