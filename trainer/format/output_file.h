// A file being written from start to end, closed by its destructor. It does not publish: the caller
// writes into a temporary folder (base/publish.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace rung::format {

class OutputFile {
 public:
  // Creates or empties `path`. Every member throws Error kDamaged on an I/O error (disk full).
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> data);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void sync();  // the data is on the disk when it returns

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace rung::format
