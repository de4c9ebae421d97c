#include "command/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/publish.h"
#include "base/units.h"
#include "command/command_line.h"
#include "model/merge.h"
#include "training/setup.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;

struct Dtype {
  std::string_view option;
  std::string_view config_name;  // in config.json
  format::DType dtype;
};

constexpr std::array<Dtype, 3> kDtypes = {{{"bf16", "bfloat16", format::DType::kBF16},
                                           {"fp16", "float16", format::DType::kF16},
                                           {"fp32", "float32", format::DType::kF32}}};

// config.json of the merged model: the base's, in the new dtype, no longer quantised.
void write_config(const fs::path& from, const fs::path& to, const Dtype& dtype) {
  Json config = read_json_file(from / "config.json");
  config.erase("quantization_config");
  // Older files say torch_dtype, newer ones dtype; where both stand, both are read.
  const bool has_new_name = config.contains("dtype");
  if (has_new_name) config["dtype"] = dtype.config_name;
  if (!has_new_name || config.contains("torch_dtype")) config["torch_dtype"] = dtype.config_name;
  publish_file(to / "config.json", config.dump(2) + "\n");
}

bool is_weight_or_config(const fs::path& file) {
  const std::string name = file.filename().string();
  return name == "config.json" || name == "manifest.json" || name.starts_with('.') ||
         name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json") ||
         name.ends_with(".bin") || name.ends_with(".gguf") || name.ends_with(".pth");
}

// Tokenizer, templates, generation settings, licence: everything but weights.
void copy_companions(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    if (!entry.is_regular_file() || is_weight_or_config(entry.path())) continue;
    fs::copy_file(entry.path(), to / entry.path().filename());
  }
}

}  // namespace

int run_merge(int argc, char** argv) {
  cxxopts::Options parser(
      "rung merge",
      "Adds an adapter into its base model and writes a complete model folder.\n\n"
      "Examples:\n"
      "  rung merge models/smollm2-135m-instruct --adapter runs/demo --out merged\n"
      "  rung merge models/smollm2-135m-instruct --adapter runs/demo --out merged --dtype fp32\n");
  parser.positional_help("MODEL");
  parser.add_options()("model", "model folder, or org/name in the local Hugging Face cache",
                       cxxopts::value<std::string>())("adapter", "adapter folder",
                                                      cxxopts::value<std::string>(), "DIR")(
      "out", "new folder", cxxopts::value<std::string>(), "DIR")(
      "dtype", "of the written weights", cxxopts::value<std::string>()->default_value("bf16"),
      "bf16|fp16|fp32");
  add_base_option(parser);
  parser.parse_positional({"model"});
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);
  const model::BaseFormat base = base_format(*parsed);
  const std::string dtype_option = choice(*parsed, "dtype", {"bf16", "fp16", "fp32"});
  const Dtype& dtype = *std::ranges::find(kDtypes, dtype_option, &Dtype::option);
  const fs::path out = required_option(*parsed, "out", "merge");

  const format::ModelFolder folder(format::find_model_folder(required(*parsed, "model", "merge")));
  const format::AdapterFolder adapter =
      training::read_saved_adapter(required_option(*parsed, "adapter", "merge"));
  if (fs::exists(out)) {
    throw Error(ExitCode::kConfig, {.what = "the output folder exists already",
                                    .hint = "name a new one, or remove it",
                                    .where = out.string()});
  }
  StagedDir staged(out);
  copy_companions(folder.path(), staged.path());
  write_config(folder.path(), staged.path(), dtype);
  model::write_merged_weights(folder, adapter, staged.path(), {.dtype = dtype.dtype, .base = base});
  staged.publish();
  print(fmt::format("merged {}: {}\n", format_counted(std::ssize(adapter.tensors), "linear"),
                    escape_for_terminal(out.string())));
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
