#include "base/publish.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/disk.h"
#include "base/error.h"
#include "base/manifest.h"

namespace rung {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartialMark = ".partial-";

// Calls create(name) with ".<name>.partial-<pid>-<n>" beside `final_path` until it succeeds on a
// name that nobody has, and returns that name.
template <class Create>
fs::path make_partial(const fs::path& final_path, Create create) {
  const fs::path parent = make_parent(final_path);
  for (int attempt = 0;; ++attempt) {
    const fs::path path = parent / fmt::format(".{}{}{}-{}", final_path.filename().string(),
                                               kPartialMark, ::getpid(), attempt);
    if (create(path)) return path;
    if (errno != EEXIST) throw_disk_error("nothing can be written here", path);
  }
}

// "out/" and "out" name the same folder; the file name of the first is empty.
fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

void remove_quietly(const fs::path& path) {
  std::error_code ignored;
  if (!path.empty()) fs::remove_all(path, ignored);
}

// Puts `staged` in the place of the folder `final_path`; a crash leaves the old or the new one.
void replace_dir(const fs::path& staged, const fs::path& final_path) {
  if (::renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, final_path.c_str(), RENAME_EXCHANGE) == 0) {
    sync_path(make_parent(final_path));
    remove_quietly(staged);  // now the old folder
    return;
  }
  // File systems that cannot exchange (NFS): for a moment neither has the name, and after a crash
  // in it the new folder is still there, whole, under its partial name.
  const fs::path old = staged.string() + "-old";
  rename_durably(final_path, old);
  rename_durably(staged, final_path);
  remove_quietly(old);
}

}  // namespace

StagedFile::StagedFile(fs::path final_path) : final_path_(std::move(final_path)) {
  staged_path_ = make_partial(final_path_, [](const fs::path& path) {
    return FileDescriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666))
        .is_open();
  });
}

StagedFile::~StagedFile() { remove_quietly(staged_path_); }

void StagedFile::publish() {
  sync_path(staged_path_);
  rename_durably(staged_path_, final_path_);
  staged_path_.clear();
}

StagedDir::StagedDir(fs::path final_path)
    : final_path_(without_trailing_slash(std::move(final_path))) {
  staged_path_ = make_partial(
      final_path_, [](const fs::path& path) { return ::mkdir(path.c_str(), 0777) == 0; });
}

StagedDir::~StagedDir() { remove_quietly(staged_path_); }

void StagedDir::publish(OnExisting on_existing) {
  write_manifest(staged_path_);
  // A symbolic link counts as existing too, wherever it points.
  const bool exists = fs::exists(fs::symlink_status(final_path_));
  if (exists && on_existing == OnExisting::kRefuse) {
    throw Error(ExitCode::kConfig, {.what = "the folder exists already",
                                    .hint = "choose another or remove it",
                                    .where = final_path_.string()});
  }
  if (exists) {
    replace_dir(staged_path_, final_path_);
  } else {
    rename_durably(staged_path_, final_path_);
  }
  staged_path_.clear();
}

void publish_file(const fs::path& path, std::string_view bytes) {
  StagedFile staged(path);
  {
    const FileDescriptor file(::open(staged.path().c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.is_open()) throw_disk_error("the file cannot be written", path);
    write_all(file, bytes, path);
  }
  staged.publish();
}

void remove_partials(const fs::path& dir) {
  std::vector<fs::path> partials;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') && name.find(kPartialMark) != std::string::npos) {
      partials.push_back(entry.path());
    }
  }
  for (const fs::path& partial : partials) remove_quietly(partial);
}

}  // namespace rung
