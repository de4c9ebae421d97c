#include "format/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/error.h"
#include "format/checked.h"

namespace rung::format {

namespace {

[[noreturn]] void throw_system_error(const std::filesystem::path& path, const char* action) {
  const int code = errno;
  const bool is_input_fault =
      code == ENOENT || code == EACCES || code == ENOTDIR || code == ENAMETOOLONG || code == ELOOP;
  throw Error(is_input_fault ? ExitCode::kConfig : ExitCode::kDamaged,
              {.what = std::string("cannot ") + action + " the file",
               .got = std::strerror(code),
               .where = path.string()});
}

}  // namespace

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a FIFO without a writer would otherwise wait for ever.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) throw_system_error(path_, "open");
  struct stat status {};
  const bool is_regular = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  if (!is_regular) {
    ::close(descriptor_);
    throw Error(ExitCode::kConfig, {.what = "not a regular file", .where = path_.string()});
  }
  size_ = status.st_size;
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

void InputFile::read(int64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::pread(descriptor_, out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset) + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system_error(path_, "read");
    if (count == 0) {
      throw Error(ExitCode::kDamaged,
                  {.what = "the file ends too early",
                   .got = std::to_string(done) + " bytes at offset " + std::to_string(offset),
                   .expected = std::to_string(out.size()),
                   .hint = "it was cut short or is still being written",
                   .where = path_.string()});
    }
    done += static_cast<size_t>(count);
  }
}

}  // namespace rung::format
