#include "command/import.h"

#include <fmt/format.h>

#include <iostream>
#include <string>

#include "base/error.h"
#include "base/units.h"
#include "command/command_line.h"
#include "format/gguf_import.h"

namespace rung::command {
namespace {

format::DType dtype_of(const std::string& name) {
  return name == "bf16"   ? format::DType::kBF16
         : name == "fp16" ? format::DType::kF16
                          : format::DType::kF32;
}

}  // namespace

int run_import(int argc, char** argv) {
  cxxopts::Options parser(
      "rung import",
      "Makes a Hugging Face model folder (config, tokenizer, safetensors) of a GGUF file.\n\n"
      "Examples:\n"
      "  rung import SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2-135m-instruct\n"
      "  rung import model.gguf models/mine --dtype fp32\n\n"
      "Architectures: llama (Mistral as well), qwen2, qwen3. Tensor types: F32, F16, BF16, Q4_0,\n"
      "Q4_1, Q8_0. OUT_DIR must not exist, or be empty.\n");
  parser.positional_help("FILE.gguf OUT_DIR");
  parser.add_options()("file", "the GGUF file", cxxopts::value<std::string>())(
      "out_dir", "the folder to make", cxxopts::value<std::string>())(
      "dtype", "type of the weights, rounded to once",
      cxxopts::value<std::string>()->default_value("bf16"), "bf16|fp16|fp32");
  parser.parse_positional({"file", "out_dir"});
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);

  const std::string out_dir = required(*parsed, "out_dir", "import");
  const format::ImportSummary summary =
      format::import_gguf({.gguf = required(*parsed, "file", "import"),
                           .out_dir = out_dir,
                           .dtype = dtype_of(choice(*parsed, "dtype", {"bf16", "fp16", "fp32"}))});
  for (const std::string& warning : summary.warnings) {
    std::cerr << "note: " << escape_for_terminal(warning) << '\n';
  }
  print(fmt::format("{}: {}, {}, {}, {}\n", escape_for_terminal(out_dir), summary.architecture,
                    format_counted(summary.num_tensors, "tensor"),
                    format_counted(summary.num_parameters, "parameter"),
                    format_counted(summary.num_tokens, "token")));
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
