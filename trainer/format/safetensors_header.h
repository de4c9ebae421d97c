// The JSON header of a safetensors file: parsed and checked, and written.
//
// Source: huggingface/safetensors README "Format" and tensor.rs (read_metadata, validate).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "format/dtype.h"

namespace rung::format {

struct TensorInfo {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int64_t offset = 0;  // bytes from the start of the file
  int64_t bytes = 0;
  int64_t num_elements() const;
};

struct SafetensorsHeader {
  std::map<std::string, TensorInfo> tensors;
  std::map<std::string, std::string> metadata;
};

inline constexpr int64_t kMaxHeaderBytes = 100'000'000;

// `json` is the header of a file whose data starts at byte `data_begin` and is `data_bytes` long.
// Throws Error kDamaged naming `where` and the tensor.
struct HeaderSource {
  std::string_view json;
  int64_t data_begin = 0;
  int64_t data_bytes = 0;
  std::string where;
};
SafetensorsHeader parse_safetensors_header(const HeaderSource& source);

// A tensor as a writer declares it.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;

  int64_t num_bytes() const;  // throws Error kDamaged on overflow, asserts whole bytes
};

// True where `a` comes before `b` in a file of the reference writer: alignment descending, then
// name.
bool is_written_before(const TensorSpec& a, const TensorSpec& b);

// Length field and JSON header of a file that holds `tensors`, in this order, one behind the other;
// padded with spaces so that the data starts at a multiple of 8.
std::string make_safetensors_header(const std::vector<TensorSpec>& tensors,
                                    const std::map<std::string, std::string>& metadata);

}  // namespace rung::format
