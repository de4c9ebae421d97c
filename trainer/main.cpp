// The verb table of rung.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/error.h"
#include "base/nearest_name.h"
#include "command/bench.h"
#include "command/command_line.h"
#include "command/data.h"
#include "command/eval.h"
#include "command/generate.h"
#include "command/import.h"
#include "command/inspect.h"
#include "command/merge.h"
#include "command/monitor.h"
#include "command/plan.h"
#include "command/report.h"
#include "command/train.h"
#include "command/version.h"
#include "job/openmp_spin.h"
#include "memory/counting_allocator.h"
#include "training/failure.h"

namespace rung {
namespace {

enum class Work { kLight, kThreads };  // kThreads: computes on all cores, with OpenMP

struct Verb {
  std::string_view name;
  int (*run)(int argc, char** argv);
  Work work;
  std::string_view summary;
};

constexpr std::array<Verb, 11> kVerbs = {{
    {"train", &command::run_train, Work::kThreads, "fine-tune as a YAML says"},
    {"plan", &command::run_plan, Work::kLight, "memory, ladder, time and cost before the start"},
    {"data", &command::run_data, Work::kLight, "show what the model will see"},
    {"eval", &command::run_eval, Work::kThreads, "loss and perplexity of a model or adapter"},
    {"generate", &command::run_generate, Work::kThreads, "answer a prompt"},
    {"merge", &command::run_merge, Work::kThreads, "add an adapter into its base model"},
    {"import", &command::run_import, Work::kLight, "GGUF file -> Hugging Face folder"},
    {"inspect", &command::run_inspect, Work::kLight, "what is in a model, adapter or checkpoint"},
    {"report", &command::run_report, Work::kLight, "curves and memory of a run as an HTML page"},
    {"bench", &command::run_bench, Work::kThreads, "speed and memory of training steps"},
    {"monitor", &command::run_monitor, Work::kLight,
     "memory, GPU and verdict of a run, live or after"},
}};

std::string overview() {
  std::string text =
      "rung fine-tunes language models with LoRA and 4-bit QLoRA on the machine one has.\n\n"
      "usage: rung VERB [ARGUMENTS]\n\n";
  for (const Verb& verb : kVerbs) text += fmt::format("  {:<10}{}\n", verb.name, verb.summary);
  text +=
      "\n  rung VERB --help   arguments and examples\n"
      "  rung help config   every key of the YAML\n"
      "  rung --version     version, commit, LibTorch\n";
  return text;
}

const Verb* find_verb(std::string_view name) {
  const auto found = std::ranges::find(kVerbs, name, &Verb::name);
  return found == kVerbs.end() ? nullptr : &*found;
}

int run_help(int argc, char** argv) {
  const std::string_view topic = argc > 1 ? argv[1] : "";
  if (topic == "config") {
    command::print(config_reference());
  } else if (topic.empty()) {
    command::print(overview());
  } else if (const Verb* verb = find_verb(topic)) {
    char option[] = "--help";
    std::array<char*, 3> arguments = {argv[1], option, nullptr};
    return verb->run(2, arguments.data());
  } else {
    throw Error(ExitCode::kUsage, {.what = "there is no such help topic",
                                   .got = std::string(topic),
                                   .expected = "config, or a verb"});
  }
  return static_cast<int>(ExitCode::kOk);
}

int dispatch(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "{}", overview());
    return static_cast<int>(ExitCode::kUsage);
  }
  const std::string_view name = argv[1];
  if (name == "help" || name == "--help" || name == "-h") return run_help(argc - 1, argv + 1);
  if (name == "--version") {
    command::print(command::version_text());
    return static_cast<int>(ExitCode::kOk);
  }
  if (const Verb* verb = find_verb(name)) return verb->run(argc - 1, argv + 1);
  std::array<std::string_view, kVerbs.size()> names;
  std::ranges::transform(kVerbs, names.begin(), &Verb::name);
  const std::string meant = did_you_mean(name, names);
  throw Error(ExitCode::kUsage,
              {.what = "there is no such verb",
               .got = std::string(name),
               .hint = meant + (meant.empty() ? "" : " ") + "`rung --help` lists them"});
}

}  // namespace
}  // namespace rung

int main(int argc, char** argv) {
  const rung::Verb* verb = argc > 1 ? rung::find_verb(argv[1]) : nullptr;
  if (verb != nullptr && verb->work == rung::Work::kThreads) rung::job::shorten_openmp_spin(argv);
  rung::memory::install_counting_allocators();
  try {
    return rung::dispatch(argc, argv);
  } catch (...) {
    const rung::training::Failure failure = rung::training::current_failure();
    fmt::print(stderr, "error: {}\n", failure.message);
    return static_cast<int>(failure.code);
  }
}
