// safetensors: u64 header length | JSON header | data. Reader with every check of the format, and
// writer. Source: huggingface/safetensors README "Format" and tensor.rs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "format/dtype.h"
#include "format/input_file.h"
#include "format/safetensors_header.h"

namespace rung::format {

// One open file. Reads with pread, so one object may be used from several threads.
class SafetensorsFile {
 public:
  // Checks the whole header. Throws Error: kConfig where the file is absent, kDamaged where a rule
  // is broken.
  explicit SafetensorsFile(std::filesystem::path path);

  const std::map<std::string, TensorInfo>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  const std::filesystem::path& path() const { return file_.path(); }

  // Fills `out` with the tensor's bytes from byte `begin` of it on. Throws Error kDamaged on a
  // short read, asserts that the tensor exists and the range lies inside it.
  void read(const std::string& name, int64_t begin, std::span<std::byte> out) const;

 private:
  InputFile file_;
  SafetensorsHeader header_;
};

// A tensor to be written; `data` must stay valid until write_safetensors returns.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

// Writes `path` (plain write + fsync; publish atomically through base/publish.h). The bytes are a
// function of the arguments alone: tensors in the reference writer's order (alignment descending,
// then name).
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace rung::format
