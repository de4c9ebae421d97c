#include "base/user_cache.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/publish.h"

namespace rung {
namespace {

namespace fs = std::filesystem;

// The folder that an environment variable names; empty where it names none. A relative path is to
// be ignored (XDG base directory specification).
fs::path folder_of(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return {};
  fs::path path = value;
  return path.is_absolute() ? path : fs::path();
}

fs::path root_of_caches() {
  const fs::path caches = folder_of("XDG_CACHE_HOME");
  if (!caches.empty()) return caches;
  // One that does not exist is not made: a service's home may be a mere name.
  const fs::path home = folder_of("HOME");
  std::error_code absent;
  return fs::is_directory(home, absent) ? home / ".cache" : fs::path();
}

struct CachedFile {
  fs::path path;
  fs::file_time_type used;
  int64_t bytes = 0;
};

std::vector<CachedFile> files_in(const fs::path& folder) {
  std::vector<CachedFile> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    std::error_code gone;  // another process prunes as well
    if (!entry->is_regular_file(gone)) continue;
    files.push_back({.path = entry->path(), .used = entry->last_write_time(gone)});
    const auto bytes = entry->file_size(gone);
    if (!gone) files.back().bytes = static_cast<int64_t>(bytes);
  }
  return files;
}

}  // namespace

UserCache::UserCache(std::string_view name, const CacheLimits& limits) : limits_(limits) {
  const fs::path root = root_of_caches();
  if (!root.empty()) folder_ = root / "rung" / name;
}

std::optional<std::string> UserCache::read(const std::string& file) const {
  if (folder_.empty()) return std::nullopt;
  try {
    std::string bytes = read_text_file(folder_ / file, static_cast<size_t>(limits_.max_bytes));
    std::error_code read_only;
    fs::last_write_time(folder_ / file, fs::file_time_type::clock::now(), read_only);
    return bytes;
  } catch (const Error&) {
    return std::nullopt;
  }
}

void UserCache::write(const std::string& file, std::string_view bytes) const {
  if (folder_.empty() || std::ssize(bytes) > limits_.max_bytes) return;
  try {
    publish_file(folder_ / file, bytes);
  } catch (const Error&) {
    return;
  }
  prune();
}

// What a killed process left half-written is old one day, too.
void UserCache::prune() const {
  std::vector<CachedFile> files = files_in(folder_);
  std::ranges::stable_sort(files, std::ranges::greater{}, &CachedFile::used);
  int64_t num_files = 0;
  int64_t num_bytes = 0;
  for (const CachedFile& file : files) {
    ++num_files;
    num_bytes += file.bytes;
    std::error_code ignored;
    if (num_files > limits_.max_files || num_bytes > limits_.max_bytes) {
      fs::remove(file.path, ignored);
    }
  }
}

}  // namespace rung
