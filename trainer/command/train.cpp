#include "command/train.h"

#include <fmt/format.h>

#include <exception>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/config.h"
#include "base/console.h"
#include "base/error.h"
#include "base/publish.h"
#include "command/command_line.h"
#include "command/report.h"
#include "training/run.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;
using training::ResumeChoice;

ResumeChoice resume_choice(const std::string& value) {
  if (value == "auto") return {.mode = ResumeChoice::Mode::kAuto};
  if (value == "never") return {.mode = ResumeChoice::Mode::kNever};
  return {.mode = ResumeChoice::Mode::kFrom, .checkpoint = value};
}

// Leaves the report beside the record of the run that this process trained. Not where it changed
// nothing: a run that was refused, or finished already, has another process's record in its folder.
class ReportOfRun {
 public:
  explicit ReportOfRun(fs::path output_dir)
      : output_dir_(std::move(output_dir)), end_before_(end_written()) {}

  // A report that cannot be written is a warning: it says nothing about the run.
  void write() const {
    try {
      if (end_written() == end_before_ || !fs::exists(output_dir_ / "metrics.jsonl")) return;
      const std::optional<DirLock> lock = lock_folder();
      if (!lock) return;
      const fs::path file = output_dir_ / "report.html";
      write_report(output_dir_, file);
      fmt::print(stderr, "report    {}\n", escape_for_terminal(file.string()));
    } catch (const std::exception& error) {
      fmt::print(stderr, "warning: the report cannot be written: {}\n", one_line(error.what()));
    }
  }

 private:
  // Nothing where the next process has begun already: then the folder is its.
  std::optional<DirLock> lock_folder() const {
    try {
      return std::optional<DirLock>(std::in_place, output_dir_);
    } catch (const Error&) {
      return std::nullopt;
    }
  }
  // When it was written how the run ended.
  std::optional<fs::file_time_type> end_written() const {
    std::error_code error;
    const fs::file_time_type time = fs::last_write_time(output_dir_ / "run.json", error);
    return error ? std::nullopt : std::optional(time);
  }

  fs::path output_dir_;
  std::optional<fs::file_time_type> end_before_;
};

ExitCode train_and_report(const training::TrainRequest& request) {
  const ReportOfRun report(request.config.output_dir);
  try {
    const ExitCode code = training::train(request, std::cerr);
    report.write();
    return code;
  } catch (...) {
    report.write();
    throw;
  }
}

}  // namespace

int run_train(int argc, char** argv) {
  cxxopts::Options parser(
      "rung train",
      "Fine-tunes a model as the YAML says; leaves a PEFT adapter in output_dir.\n\n"
      "Examples:\n"
      "  rung train configs/demo.yaml\n"
      "  rung train configs/demo.yaml --set learning_rate=1e-4 --set lora_r=32\n"
      "  rung train configs/demo.yaml --resume never\n\n"
      "Ctrl-C and SIGTERM finish the micro-batch, save a checkpoint and exit with 75;\n"
      "the same command goes on from there.\n");
  parser.positional_help("CONFIG");
  parser.add_options()("config", "the YAML of the run", cxxopts::value<std::string>())(
      "set", "override a key of the configuration; may be repeated",
      cxxopts::value<std::vector<std::string>>(), "KEY=VALUE")(
      "resume",
      "auto: from the newest sound checkpoint of output_dir; never: anew; or a checkpoint",
      cxxopts::value<std::string>()->default_value("auto"), "auto|never|DIR");
  parser.parse_positional({"config"});
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);

  LoadedConfig loaded =
      load_run_config(required(*parsed, "config", "train"), repeated(*parsed, "set"));
  const std::string output_dir = loaded.config.output_dir.string();
  const ExitCode code =
      train_and_report({.config = std::move(loaded.config),
                        .resume = resume_choice((*parsed)["resume"].as<std::string>()),
                        .explicit_keys = std::move(loaded.explicit_keys),
                        .notes = std::move(loaded.notes)});
  if (code == ExitCode::kOk) {
    print(fmt::format("adapter: {}\n", escape_for_terminal(output_dir)));
  } else {
    print(fmt::format("stopped, checkpoint saved in {}: run the same command to go on\n",
                      escape_for_terminal(output_dir)));
  }
  return static_cast<int>(code);
}

}  // namespace rung::command
