#include "format/gguf_cursor.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace rung::format {

namespace {

constexpr int64_t kMaxHeaderBytes = int64_t{256} << 20;
constexpr int64_t kBufferBytes = int64_t{1} << 20;

}  // namespace

GgufCursor::GgufCursor(const InputFile& file)
    : file_(file), end_(std::min(file.size(), kMaxHeaderBytes)) {}

void GgufCursor::damaged(const std::string& problem, const std::string& got,
                         const std::string& expected) const {
  throw Error(ExitCode::kDamaged,
              {.what = problem,
               .got = got,
               .expected = expected,
               .hint = "the file is cut short, damaged or no GGUF file; get it again",
               .where = fmt::format("{}, byte {}", file_.path().string(), position_)});
}

void GgufCursor::refill() {
  buffer_.resize(static_cast<size_t>(std::min(remaining(), kBufferBytes)));
  file_.read(position_, buffer_);
  buffer_begin_ = position_;
}

void GgufCursor::read(std::span<std::byte> out, std::string_view what) {
  if (static_cast<int64_t>(out.size()) > remaining()) {
    damaged(fmt::format("the GGUF header ends inside {}", what),
            fmt::format("{} more bytes", remaining()), fmt::format("{}", out.size()));
  }
  while (!out.empty()) {
    int64_t offset = position_ - buffer_begin_;
    if (offset == static_cast<int64_t>(buffer_.size())) {
      refill();
      offset = 0;
    }
    const size_t count = std::min(out.size(), buffer_.size() - static_cast<size_t>(offset));
    std::memcpy(out.data(), buffer_.data() + offset, count);
    position_ += static_cast<int64_t>(count);
    out = out.subspan(count);
  }
}

std::string GgufCursor::text(int64_t max_bytes, std::string_view what) {
  const auto length = number<uint64_t>(what);
  const int64_t limit = std::min(max_bytes, remaining());
  if (length > static_cast<uint64_t>(limit)) {
    damaged(fmt::format("the length of {} is impossible", what), fmt::format("{}", length),
            fmt::format("at most {}", limit));
  }
  std::string text(static_cast<size_t>(length), '\0');
  read(std::as_writable_bytes(std::span(text)), what);
  return text;
}

}  // namespace rung::format
