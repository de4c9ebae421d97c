// find_model_folder: from the name of a model to its folder, in the layout of huggingface_hub's
// cache: models--org--name/{refs/main, snapshots/<commit>/}, where a snapshot is a folder of
// symbolic links. Nothing is downloaded.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/nearest_name.h"
#include "format/model_folder.h"

namespace rung::format {

namespace {

namespace fs = std::filesystem;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? std::optional<std::string>(value) : std::nullopt;
}

fs::path cache_root() {
  if (const auto cache = environment("HF_HUB_CACHE")) return *cache;
  if (const auto home = environment("HF_HOME")) return fs::path(*home) / "hub";
  if (const auto cache = environment("XDG_CACHE_HOME")) {
    return fs::path(*cache) / "huggingface" / "hub";
  }
  return fs::path(environment("HOME").value_or("/")) / ".cache" / "huggingface" / "hub";
}

// "org/name", or "name" of the few models without an organisation.
bool is_model_id(const std::string& text) {
  const auto is_allowed = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), is_allowed) &&
         std::count(text.begin(), text.end(), '/') <= 1 && text.front() != '/' &&
         text.front() != '.' && text.back() != '/' && text.find("..") == std::string::npos;
}

std::string working_directory() {
  std::error_code error;
  return fs::current_path(error).string();
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

bool is_snapshot(const fs::path& folder) { return fs::is_regular_file(folder / "config.json"); }

std::optional<fs::path> find_snapshot(const fs::path& repository) {
  const fs::path reference = repository / "refs" / "main";
  if (fs::is_regular_file(reference)) {
    const std::string commit = trimmed(read_text_file(reference, 4096));
    const bool is_plain = commit.find('/') == std::string::npos && commit != "..";
    if (is_plain && !commit.empty() && is_snapshot(repository / "snapshots" / commit)) {
      return repository / "snapshots" / commit;
    }
  }
  std::optional<fs::path> newest;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(repository / "snapshots", absent)) {
    if (!is_snapshot(entry.path())) continue;
    const bool is_newer =
        !newest || fs::last_write_time(entry.path()) > fs::last_write_time(*newest);
    if (is_newer) newest = entry.path();
  }
  return newest;
}

// Whether `text` can only be meant as a path. "org/name" may be either: it is one where a folder
// "org" is here.
bool is_meant_as_path(const std::string& text) {
  return !is_model_id(text) ||
         (text.find('/') != std::string::npos && fs::is_directory(fs::path(text).parent_path()));
}

// The folder inside `parent` (empty: the working directory) whose name, or else whose beginning of
// about that length, is nearest to `wanted`: long names are often cut short.
std::optional<fs::path> nearest_folder(const fs::path& parent, const std::string& wanted) {
  std::set<std::string> names;
  std::error_code error;
  fs::directory_iterator entries(parent.empty() ? "." : parent, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::error_code gone;
    if (entries->is_directory(gone)) names.insert(entries->path().filename().string());
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  if (const auto nearest = nearest_name(wanted, views)) return parent / *nearest;
  std::map<std::string_view, std::string_view> by_beginning;
  for (const std::string_view name : views) {
    for (const size_t length : {wanted.size(), wanted.size() + 1}) {
      if (length > 2 && length < name.size()) by_beginning.emplace(name.substr(0, length), name);
    }
  }
  std::vector<std::string_view> beginnings;
  for (const auto& entry : by_beginning) beginnings.push_back(entry.first);
  const auto nearest = nearest_name(wanted, beginnings);
  return nearest ? std::optional(parent / by_beginning.at(*nearest)) : std::nullopt;
}

// The existing folder that the absent `path` was probably meant to be; nothing where none is near.
std::optional<fs::path> nearest_path(const fs::path& path) {
  fs::path existing;
  for (const fs::path& part : path.lexically_normal()) {
    if (part.empty()) continue;  // behind a last slash
    if (fs::is_directory(existing / part)) {
      existing /= part;
      continue;
    }
    const std::optional<fs::path> nearest = nearest_folder(existing, part.string());
    if (!nearest) return std::nullopt;
    existing = *nearest;
  }
  return existing;
}

[[noreturn]] void refuse_path(const std::string& base_model) {
  fs::path meant = base_model;
  // The shell replaces a tilde of a command line, nobody one in a YAML.
  const std::optional<std::string> home = environment("HOME");
  const bool has_tilde = base_model.starts_with("~/") && home;
  if (has_tilde) meant = fs::path(*home) / base_model.substr(2);
  const std::optional<fs::path> nearest = nearest_path(meant);
  std::string hint = nearest                   ? "did you mean " + nearest->string() + "?"
                     : is_model_id(base_model) ? "for a model of the hub: hf download " + base_model
                                               : "give a folder, or org/name of a downloaded model";
  if (has_tilde) hint = "a ~ is not replaced here, write the whole path; " + hint;
  throw Error(ExitCode::kConfig, {.what = "there is no such folder for the base model",
                                  .got = base_model,
                                  .hint = hint,
                                  .where = fs::path(base_model).is_absolute()
                                               ? ""
                                               : "working directory " + working_directory()});
}

}  // namespace

fs::path find_model_folder(const std::string& base_model) {
  if (fs::is_directory(base_model)) return base_model;
  if (fs::exists(base_model)) {
    const bool is_gguf = base_model.ends_with(".gguf");
    throw Error(ExitCode::kConfig,
                {.what = "the base model is a file",
                 .expected = "a folder with config.json and safetensors files",
                 .hint = is_gguf ? "convert it first: rung import FILE.gguf OUT_DIR" : "",
                 .where = base_model});
  }
  const fs::path root = cache_root();
  if (is_model_id(base_model)) {
    std::string directory = "models--" + base_model;
    if (const size_t slash = directory.find('/'); slash != std::string::npos) {
      directory.replace(slash, 1, "--");
    }
    if (const std::optional<fs::path> snapshot = find_snapshot(root / directory)) return *snapshot;
  }
  if (is_meant_as_path(base_model)) refuse_path(base_model);
  std::string hint = "download it first: hf download " + base_model;
  if (const std::optional<fs::path> nearest = nearest_path(base_model)) {
    hint = "did you mean the folder " + nearest->string() + "? else " + hint;
  }
  throw Error(ExitCode::kConfig,
              {.what = "the base model is neither a folder nor in the Hugging Face cache",
               .got = base_model,
               .hint = hint,
               .where = root.string()});
}

}  // namespace rung::format
