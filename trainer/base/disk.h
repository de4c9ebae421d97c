// System calls of careful writing, as functions that throw Error and name the file.
#pragma once

#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/file_descriptor.h"

namespace rung {

// kConfig where the place was chosen wrongly (it is absent, no folder, or may not be written to),
// kDamaged where something happened to a good choice (disk full, I/O error).
ExitCode disk_error_code(const std::error_code& error);

// Throws for `error`, by default the current errno: "<what>: got No space left on device (path)".
[[noreturn]] void throw_disk_error(const char* what, const std::filesystem::path& path, int error);
[[noreturn]] void throw_disk_error(const char* what, const std::filesystem::path& path);

// Writes all of `bytes` at the descriptor's position; `path` is for the message.
void write_all(const FileDescriptor& file, std::string_view bytes,
               const std::filesystem::path& path);

// Waits until what was written to a file, or the names in a folder, are on the disk.
void sync_path(const std::filesystem::path& path);

// Renames and makes the new name durable; a file of that name is replaced.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

// The folder that `path` is in ("." for a bare name), created where it is missing.
std::filesystem::path make_parent(const std::filesystem::path& path);

}  // namespace rung
