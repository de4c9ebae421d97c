// Reads the header of a GGUF file from front to back, every length checked before it is believed.
//
// Numbers are little-endian, strings a u64 length and bytes. Read in pieces through pread: the
// header of a file with a large vocabulary is tens of megabytes, its data gigabytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/input_file.h"

namespace rung::format {

class GgufCursor {
 public:
  // `file` must outlive this.
  explicit GgufCursor(const InputFile& file);

  int64_t position() const { return position_; }
  int64_t remaining() const { return end_ - position_; }

  // `what` names the thing being read, for messages.
  template <typename T>
  T number(std::string_view what) {
    static_assert(std::endian::native == std::endian::little);
    T value;
    read(std::as_writable_bytes(std::span(&value, 1)), what);
    return value;
  }

  std::string text(int64_t max_bytes, std::string_view what);

  // Throws Error kDamaged: `problem` at the current position.
  [[noreturn]] void damaged(const std::string& problem, const std::string& got = "",
                            const std::string& expected = "") const;

 private:
  void read(std::span<std::byte> out, std::string_view what);
  void refill();

  const InputFile& file_;
  int64_t end_;  // what lies behind it is no header, or more header than rung is willing to read
  int64_t position_ = 0;
  std::vector<std::byte> buffer_;  // the bytes from buffer_begin_ on
  int64_t buffer_begin_ = 0;
};

}  // namespace rung::format
