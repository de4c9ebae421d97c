#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace rung {
namespace {

[[noreturn]] void refuse_size(const std::filesystem::path& path, size_t max_bytes) {
  throw Error(ExitCode::kDamaged, {.what = "the file is too large",
                                   .expected = fmt::format("at most {} bytes", max_bytes),
                                   .where = path.string()});
}

}  // namespace

std::string read_text_file(const std::filesystem::path& path, size_t max_bytes) {
  // Without O_NONBLOCK, opening a FIFO would wait for a writer.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status = {};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) {
    throw Error(
        ExitCode::kConfig,
        {.what = "the file cannot be opened", .got = std::strerror(errno), .where = path.string()});
  }
  if (!S_ISREG(status.st_mode)) {
    throw Error(ExitCode::kConfig, {.what = "this is not a regular file", .where = path.string()});
  }
  if (static_cast<size_t>(status.st_size) > max_bytes) refuse_size(path, max_bytes);

  // Some files (procfs) claim size 0 and others grow while read: read until the end says so.
  std::string text;
  size_t used = 0;
  while (true) {
    const size_t room = std::max<size_t>(static_cast<size_t>(status.st_size) + 1 - used, 4096);
    text.resize(used + room);
    const ssize_t count = ::read(file.get(), text.data() + used, room);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      throw Error(
          ExitCode::kDamaged,
          {.what = "the file cannot be read", .got = std::strerror(errno), .where = path.string()});
    }
    used += static_cast<size_t>(count);
    if (used > max_bytes) refuse_size(path, max_bytes);
    if (count == 0) break;
  }
  text.resize(used);
  return text;
}

}  // namespace rung
