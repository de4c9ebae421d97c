#include "base/disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace rung {

ExitCode disk_error_code(const std::error_code& error) {
  for (const std::errc choice :
       {std::errc::permission_denied, std::errc::operation_not_permitted,
        std::errc::read_only_file_system, std::errc::not_a_directory, std::errc::is_a_directory,
        std::errc::filename_too_long, std::errc::no_such_file_or_directory, std::errc::file_exists,
        std::errc::too_many_symbolic_link_levels}) {
    if (error == choice) return ExitCode::kConfig;
  }
  return ExitCode::kDamaged;
}

void throw_disk_error(const char* what, const std::filesystem::path& path, int error) {
  throw Error(disk_error_code({error, std::generic_category()}),
              {.what = what, .got = std::strerror(error), .where = path.string()});
}

void throw_disk_error(const char* what, const std::filesystem::path& path) {
  throw_disk_error(what, path, errno);
}

void write_all(const FileDescriptor& file, std::string_view bytes,
               const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_disk_error("the file cannot be written", path);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void sync_path(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open() || ::fsync(file.get()) != 0) {
    throw_disk_error("what was written does not reach the disk", path);
  }
}

void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    throw_disk_error("the finished file cannot take its name", to);
  }
  sync_path(make_parent(to));
}

std::filesystem::path make_parent(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) throw_disk_error("the folder cannot be created", parent, error.value());
  return parent;
}

}  // namespace rung
