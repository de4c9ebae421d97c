#include "command/inspect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/console.h"
#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "command/command_line.h"
#include "format/adapter.h"
#include "format/gguf.h"
#include "format/model_folder.h"
#include "format/safetensors.h"
#include "training/checkpoint.h"
#include "training/output_folder.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;

// What stands at a path; every reader's own checks have passed once it is made.
Json describe_model(const fs::path& path) {
  const format::ModelFolder folder(path);
  const format::ModelConfig& config = folder.config();
  int64_t parameters = 0;
  for (const auto& [name, shape] : format::expected_tensors(config)) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    parameters += count;
  }
  int64_t bytes = 0;
  for (const std::string& name : folder.names()) bytes += folder.info(name).bytes;
  return {{"kind", "model"},
          {"architecture", config.architecture},
          {"parameters", parameters},
          {"bytes", bytes},
          {"dtype", config.dtype},
          {"nf4", config.bnb.has_value()},
          {"blocks", config.num_layers},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.intermediate_size},
          {"heads", config.num_heads},
          {"kv_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"vocab_size", config.vocab_size},
          {"max_position_embeddings", config.max_position_embeddings},
          {"tied_embeddings", config.tie_word_embeddings}};
}

Json describe_adapter(const fs::path& path) {
  const format::AdapterFolder adapter = format::read_adapter(path);
  int64_t parameters = 0;
  for (const format::AdapterTensor& tensor : adapter.tensors) {
    parameters += adapter.config.r * (tensor.in_features + tensor.out_features);
  }
  return {
      {"kind", "adapter"},
      {"r", adapter.config.r},
      {"lora_alpha", adapter.config.lora_alpha},
      {"scaling", adapter.config.scaling()},
      {"linears", adapter.tensors.size()},
      {"parameters", parameters},
      {"target_modules", adapter.config.target_regex.empty() ? Json(adapter.config.target_modules)
                                                             : Json(adapter.config.target_regex)},
      {"base_model", adapter.config.base_model_name_or_path}};
}

Json describe_checkpoint(const fs::path& path) {
  const std::vector<ManifestEntry> files = training::verify_checkpoint(path);
  Json json = describe_adapter(path);
  json["kind"] = "checkpoint";
  json["files_verified"] = files.size();
  json["state"] = read_json_file(path / "state.json");
  return json;
}

Json describe_safetensors(const fs::path& path) {
  const format::SafetensorsFile file(path);
  Json tensors = Json::object();
  for (const auto& [name, info] : file.tensors()) {
    tensors[name] = {{"dtype", format::name_of(info.dtype)}, {"shape", info.shape}};
  }
  return {{"kind", "safetensors"}, {"count", file.tensors().size()}, {"tensors", tensors}};
}

Json describe_gguf(const fs::path& path) {
  const format::GgufFile file(path);
  std::map<std::string, int64_t> by_type;
  for (const format::GgufTensor& tensor : file.tensors()) {
    ++by_type[std::string(format::name_of(tensor.type))];
  }
  Json json = {{"kind", "gguf"}, {"count", file.tensors().size()}, {"types", by_type}};
  for (const char* key : {"general.architecture", "general.name", "tokenizer.ggml.pre"}) {
    const format::GgufValue* value = file.find(key);
    if (value == nullptr) continue;
    if (const auto* text = std::get_if<std::string>(value)) json[key] = *text;
  }
  return json;
}

Json describe(const fs::path& path) {
  if (!fs::exists(path)) {
    throw Error(ExitCode::kConfig,
                {.what = "there is no such file or folder", .where = path.string()});
  }
  if (fs::is_directory(path)) {
    if (fs::exists(path / "state.json")) return describe_checkpoint(path);
    if (fs::exists(path / "adapter_config.json")) return describe_adapter(path);
    if (fs::exists(path / "config.json")) return describe_model(path);
    training::refuse_unfinished_run(path);
    throw Error(ExitCode::kConfig,
                {.what = "the folder is neither a model nor an adapter nor a checkpoint",
                 .expected = "config.json, adapter_config.json or state.json in it",
                 .where = path.string()});
  }
  if (path.extension() == ".gguf") return describe_gguf(path);
  return describe_safetensors(path);
}

// "key: value" lines; a tensor list gets a line each.
std::string as_text(const Json& json) {
  std::string text;
  for (const auto& [key, value] : json.items()) {
    if (key == "tensors") {
      for (const auto& [name, info] : value.items()) {
        text += fmt::format("  {:<8}{:<20} {}\n", info["dtype"].get<std::string>(),
                            info["shape"].dump(), one_line(name));
      }
    } else if (key == "bytes") {
      text += fmt::format("{}: {}\n", key, format_bytes(value.get<int64_t>()));
    } else if (key == "parameters") {
      text += fmt::format("{}: {}\n", key, format_count(value.get<int64_t>()));
    } else {
      text += fmt::format("{}: {}\n", key,
                          one_line(value.is_string() ? value.get<std::string>() : value.dump()));
    }
  }
  return text + "sound: yes\n";
}

}  // namespace

int run_inspect(int argc, char** argv) {
  cxxopts::Options parser(
      "rung inspect",
      "What is in a model, adapter, checkpoint, .safetensors or .gguf, and is it sound.\n\n"
      "Examples:\n"
      "  rung inspect models/smollm2-135m-instruct\n"
      "  rung inspect runs/demo/checkpoints/step-000040 --json\n");
  parser.positional_help("PATH");
  parser.add_options()("path", "file or folder", cxxopts::value<std::string>())("json",
                                                                                "print JSON");
  parser.parse_positional({"path"});
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);
  const Json json = describe(required(*parsed, "path", "inspect"));
  print(parsed->count("json") > 0 ? json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                                  : as_text(json));
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
