// GGUF version 3, the file format of llama.cpp: reader with every check of the format.
//
// File: "GGUF" | u32 version | u64 tensor count | u64 key count | keys and values | tensor infos
// (name, u32 rank, u64 sizes innermost first, u32 type, u64 offset) | padding to
// general.alignment | tensor data, each tensor aligned. Little-endian. Source: ggml docs/gguf.md.
// Refused by name: versions 1 and 2, big-endian files, arrays of arrays (no program writes them),
// and tensor types outside gguf_types.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "format/gguf_types.h"
#include "format/input_file.h"

namespace rung::format {

// The file's integers keep their sign and lose their width, its floats keep theirs.
using GgufValue = std::variant<bool, uint64_t, int64_t, float, double, std::string,
                               std::vector<bool>, std::vector<uint64_t>, std::vector<int64_t>,
                               std::vector<float>, std::vector<double>, std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::kF32;
  std::vector<int64_t> shape;  // outermost first, as in PyTorch (the file has it the other way)
  int64_t offset = 0;          // bytes from the start of the file
  int64_t bytes = 0;

  int64_t num_values() const;
};

// One open file. Reads with pread, so one object may be used from several threads.
class GgufFile {
 public:
  // Checks the whole header. Throws Error: kConfig where the file is absent or uses what rung does
  // not support, kDamaged where a rule is broken.
  explicit GgufFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return file_.path(); }
  const GgufValue* find(std::string_view key) const;  // nullptr where absent
  const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in the file's order
  const GgufTensor* find_tensor(std::string_view name) const;          // nullptr where absent

  // Fills `out` with the tensor's stored bytes from byte `begin` of it on. Throws Error kDamaged on
  // a short read, asserts that the range lies inside the tensor.
  void read(const GgufTensor& tensor, int64_t begin, std::span<std::byte> out) const;

 private:
  InputFile file_;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> tensor_idx_;  // by name
};

}  // namespace rung::format
