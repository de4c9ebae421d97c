// Atomic publish: what is under its final name is complete, whatever happened while it was written.
//
// Files are written under a temporary name in the final name's own folder, synced to disk, and
// renamed; then the folder is synced. A folder gets a manifest.json of names, sizes and SHA-256
// hashes as its last file. A killed process leaves only hidden ".<name>.partial-<pid>-<n>" entries.
// I/O errors (a full disk) are Error kDamaged, a place that may not be written to is kConfig.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"

namespace rung {

enum class OnExisting { kRefuse, kReplace };

// A file under construction: write to path(), then publish(). Removed unless published.
class StagedFile {
 public:
  // Creates an empty file beside `final_path`, and the folders above it where they are missing.
  explicit StagedFile(std::filesystem::path final_path);
  ~StagedFile();
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;

  const std::filesystem::path& path() const { return staged_path_; }
  // Replaces a file of the final name.
  void publish();

 private:
  std::filesystem::path final_path_;
  std::filesystem::path staged_path_;  // empty once published
};

// A folder under construction: write files under path(), then publish(). Removed unless published.
class StagedDir {
 public:
  explicit StagedDir(std::filesystem::path final_path);
  ~StagedDir();
  StagedDir(const StagedDir&) = delete;
  StagedDir& operator=(const StagedDir&) = delete;

  const std::filesystem::path& path() const { return staged_path_; }
  // Adds the manifest and gives the folder its final name. kRefuse: Error kConfig where something
  // has that name; kReplace: takes its place (in one atomic exchange where the file system can).
  void publish(OnExisting on_existing = OnExisting::kRefuse);

 private:
  std::filesystem::path final_path_;
  std::filesystem::path staged_path_;
};

// Writes `bytes` as `path`, atomically.
void publish_file(const std::filesystem::path& path, std::string_view bytes);

struct ManifestEntry {
  std::string name;  // relative to the folder, with '/'
  int64_t bytes = 0;
  std::string sha256;  // lower-case hexadecimal
};

// Reads and checks all files that the manifest of `dir` names, the `needed` ones among them. Throws
// Error kDamaged, naming the file, where one is absent or differs, where the manifest does not
// vouch for a needed one, or where there is no manifest (the folder was not published).
std::vector<ManifestEntry> verify_manifest(const std::filesystem::path& dir,
                                           std::span<const std::string_view> needed = {});

// Removes what killed processes left in `dir` itself. Only for the holder of its lock.
void remove_partials(const std::filesystem::path& dir);

// The right to write to a folder, held by one process at a time.
class DirLock {
 public:
  // Creates `dir` where it is missing. Throws Error kConfig naming the holder's pid and host where
  // another process holds the lock. The lock ends with the object or the process.
  explicit DirLock(const std::filesystem::path& dir);
  // Leaves no trace: the file of the lock goes, and so do the folders that were made for it where
  // nothing was put into them.
  ~DirLock();
  DirLock(const DirLock&) = delete;
  DirLock& operator=(const DirLock&) = delete;

 private:
  void remove_traces() const;

  std::filesystem::path path_;                       // of the file
  std::vector<std::filesystem::path> made_folders_;  // the inner ones first
  FileDescriptor file_;
};

// Whether a process holds the lock of `dir`. Nothing is created, and a process that takes the lock
// at this moment gets it. Where the lock cannot be asked after, the answer is no.
bool is_locked(const std::filesystem::path& dir);

}  // namespace rung
