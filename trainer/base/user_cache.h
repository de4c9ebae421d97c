// Files that only save time, under $XDG_CACHE_HOME/rung, else ~/.cache/rung.
//
// Nothing depends on them: a file that cannot be read is as one that was never written, a folder
// that cannot be written to is none, and anyone may delete them at any time. Whether what is read
// is whole is for the reader to say.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace rung {

struct CacheLimits {
  int64_t max_files = 64;
  int64_t max_bytes = int64_t{256} << 20;  // of all files, so of each
};

class UserCache {
 public:
  // The folder `name` in the user's cache. Files beyond the limits go when one is written, those
  // first that were not used for longest.
  explicit UserCache(std::string_view name, const CacheLimits& limits = {});

  std::optional<std::string> read(const std::string& file) const;
  void write(const std::string& file, std::string_view bytes) const;

  // Empty where the user has no home.
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void prune() const;

  std::filesystem::path folder_;
  CacheLimits limits_;
};

}  // namespace rung
