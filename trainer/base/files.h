// Whole-file reads, for small text: configurations, JSON, templates.
//
// Weights and data sets are not read this way (format/input_file.h and the data readers are).
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace rung {

// The bytes of the regular file `path`. Throws Error: kConfig where it is absent, unreadable or no
// regular file, kDamaged where it holds more than `max_bytes` or cannot be read to its end.
std::string read_text_file(const std::filesystem::path& path, size_t max_bytes);

}  // namespace rung
