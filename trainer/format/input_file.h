// A file opened for reading by position (pread), closed by its destructor.
//
// Not mmap: a file that is truncated while it is mapped kills the process with SIGBUS, pread
// returns a short read that becomes an Error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace rung::format {

class InputFile {
 public:
  // Throws Error: kConfig where `path` is absent or no regular file, kDamaged on an I/O error.
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int64_t size() const { return size_; }  // bytes, when it was opened

  // Fills `out` with the bytes from `offset` on; safe from several threads. Throws Error kDamaged
  // where the file ends before `out` is full.
  void read(int64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
};

}  // namespace rung::format
