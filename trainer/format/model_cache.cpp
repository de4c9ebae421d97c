// find_model_folder: from the name of a model to its folder, in the layout of huggingface_hub's
// cache: models--org--name/{refs/main, snapshots/<commit>/}, where a snapshot is a folder of
// symbolic links. Nothing is downloaded.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>

#include "base/error.h"
#include "base/files.h"
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
         text.back() != '/' && text.find("..") == std::string::npos;
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
  if (!is_model_id(base_model)) {
    throw Error(ExitCode::kConfig, {.what = "the base model's folder does not exist",
                                    .hint = "give a folder, or org/name of a downloaded model",
                                    .where = base_model});
  }
  std::string directory = "models--" + base_model;
  if (const size_t slash = directory.find('/'); slash != std::string::npos) {
    directory.replace(slash, 1, "--");
  }
  const fs::path root = cache_root();
  if (const std::optional<fs::path> snapshot = find_snapshot(root / directory)) return *snapshot;
  throw Error(ExitCode::kConfig,
              {.what = "the base model is neither a folder nor in the Hugging Face cache",
               .got = base_model,
               .hint = "download it first: hf download " + base_model,
               .where = root.string()});
}

}  // namespace rung::format
