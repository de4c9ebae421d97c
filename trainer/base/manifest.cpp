#include "base/manifest.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <vector>

#include "base/disk.h"
#include "base/error.h"
#include "base/json.h"
#include "base/publish.h"
#include "base/sha256.h"

namespace rung {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifestName = "manifest.json";
constexpr const char* kFormat = "rung-manifest-1";
constexpr size_t kMaxManifestBytes = size_t{16} << 20;

struct Contents {
  std::vector<fs::path> files;    // relative, sorted
  std::vector<fs::path> folders;  // absolute, the inner ones first
};

Contents list_contents(const fs::path& dir) {
  Contents contents;
  std::error_code error;
  for (fs::recursive_directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_directory()) {
      contents.folders.push_back(it->path());
    } else {
      contents.files.push_back(it->path().lexically_relative(dir));
    }
  }
  if (error) {
    throw Error(
        ExitCode::kDamaged,
        {.what = "the folder cannot be read", .got = error.message(), .where = dir.string()});
  }
  std::sort(contents.files.begin(), contents.files.end());
  std::reverse(contents.folders.begin(), contents.folders.end());
  contents.folders.push_back(dir);
  return contents;
}

[[noreturn]] void refuse(const std::string& what, const fs::path& where) {
  throw Error(ExitCode::kDamaged, {.what = what, .where = where.string()});
}

// A name that leads out of the folder would make a manifest vouch for strangers' files.
bool stays_inside(const fs::path& name) {
  return !name.empty() && name.is_relative() && name == name.lexically_normal() &&
         *name.begin() != "..";
}

ManifestEntry read_entry(const Json& json, const fs::path& manifest) {
  const auto has = [&](const char* key, Json::value_t type) {
    return json.is_object() && json.contains(key) && json[key].type() == type;
  };
  if (!has("name", Json::value_t::string) || !has("bytes", Json::value_t::number_unsigned) ||
      !has("sha256", Json::value_t::string)) {
    refuse("an entry of the manifest lacks name, bytes or sha256", manifest);
  }
  ManifestEntry entry{.name = json["name"], .bytes = json["bytes"], .sha256 = json["sha256"]};
  if (!stays_inside(entry.name)) {
    throw Error(ExitCode::kDamaged, {.what = "the manifest names a file outside the folder",
                                     .got = entry.name,
                                     .where = manifest.string()});
  }
  return entry;
}

void verify_file(const fs::path& path, const ManifestEntry& entry) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::is_regular_file(status)) refuse("a file of the manifest is missing", path);
  const auto bytes = static_cast<int64_t>(fs::file_size(path, error));
  if (error || bytes != entry.bytes) {
    throw Error(ExitCode::kDamaged, {.what = "the file does not have the size of the manifest",
                                     .got = fmt::format("{} bytes", bytes),
                                     .expected = fmt::format("{} bytes", entry.bytes),
                                     .where = path.string()});
  }
  const std::string hash = sha256_of_file(path);
  if (hash != entry.sha256) {
    throw Error(ExitCode::kDamaged,
                {.what = "the file is damaged: its SHA-256 is not the manifest's",
                 .got = hash,
                 .expected = entry.sha256,
                 .where = path.string()});
  }
}

}  // namespace

void write_manifest(const fs::path& dir) {
  const Contents contents = list_contents(dir);
  Json files = Json::array();
  for (const fs::path& name : contents.files) {
    const fs::path path = dir / name;
    sync_path(path);
    files.push_back({{"name", name.generic_string()},
                     {"bytes", fs::file_size(path)},
                     {"sha256", sha256_of_file(path)}});
  }
  const Json manifest = {{"format", kFormat}, {"files", std::move(files)}};
  const fs::path path = dir / kManifestName;
  {
    const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!file.is_open()) throw_disk_error("the file cannot be created", path);
    write_all(file, manifest.dump(2) + "\n", path);
  }
  sync_path(path);
  for (const fs::path& folder : contents.folders) sync_path(folder);
}

std::vector<ManifestEntry> verify_manifest(const fs::path& dir,
                                           std::span<const std::string_view> needed) {
  const fs::path path = dir / kManifestName;
  std::error_code error;
  if (!fs::exists(path, error)) refuse("the folder has no manifest: it was not finished", dir);
  const Json manifest = read_json_file(path, {.max_bytes = kMaxManifestBytes});
  if (!manifest.is_object() || manifest.value("format", Json()) != kFormat ||
      !manifest.contains("files") || !manifest["files"].is_array()) {
    refuse("the manifest is not of a form that is known here", path);
  }
  std::vector<ManifestEntry> entries;
  for (const Json& json : manifest["files"]) {
    entries.push_back(read_entry(json, path));
    verify_file(dir / entries.back().name, entries.back());
  }
  for (const std::string_view name : needed) {
    if (std::ranges::find(entries, name, &ManifestEntry::name) != entries.end()) continue;
    throw Error(ExitCode::kDamaged, {.what = "the manifest does not list a file that is needed",
                                     .expected = std::string(name),
                                     .where = path.string()});
  }
  return entries;
}

}  // namespace rung
