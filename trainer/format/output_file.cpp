#include "format/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace rung::format {

namespace {

[[noreturn]] void throw_write_error(const std::filesystem::path& path) {
  throw Error(
      ExitCode::kDamaged,
      {.what = "cannot write the file", .got = std::strerror(errno), .where = path.string()});
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_write_error(path_);
}

OutputFile::~OutputFile() { ::close(descriptor_); }

void OutputFile::write(std::span<const std::byte> data) {
  while (!data.empty()) {
    const ssize_t count = ::write(descriptor_, data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_write_error(path_);
    data = data.subspan(static_cast<size_t>(count));
  }
}

void OutputFile::sync() {
  if (::fsync(descriptor_) != 0) throw_write_error(path_);
}

}  // namespace rung::format
