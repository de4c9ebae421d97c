#include "command/monitor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/console.h"
#include "base/error.h"
#include "base/json.h"
#include "base/nvml.h"
#include "base/stopwatch.h"
#include "command/command_line.h"
#include "monitor/live_terminal.h"
#include "monitor/run_follower.h"
#include "monitor/screen.h"
#include "monitor/snapshot.h"
#include "monitor/snapshot_json.h"
#include "monitor/verdict.h"

namespace rung::command {
namespace {

constexpr int kPlainWidth = 100;       // columns, where there is no terminal
constexpr double kScreenSeconds = 1;   // between two looks, by default: on a terminal,
constexpr double kPlainSeconds = 10;   // and into a file, a pipe or JSON
constexpr double kLeastSeconds = 0.1;  // of --interval
constexpr double kMostSeconds = 3600;

struct Options {
  bool once = false;
  bool json = false;
  bool on_terminal = false;
  double interval = kPlainSeconds;  // seconds
};

// What is seen at one look; only the form that is asked for is made.
struct Look {
  std::function<std::vector<std::string>(int width, int height)> lines;  // height 0: any
  std::function<Json()> json;
  bool is_last = false;  // nothing will change any more
};

class Output {
 public:
  explicit Output(const Options& options) : options_(options) {}

  void show(const Look& look) {
    if (options_.json) {
      print(look.json().dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) +
            "\n");
    } else if (options_.on_terminal && !options_.once) {
      const int width = terminal_width(STDOUT_FILENO);
      // A line that fills the last column would wrap.
      const int height = terminal_height(STDOUT_FILENO);
      print(redraw_.text(look.lines(width - 1, height), width, height));
    } else {
      std::string text = has_shown_ ? "\n" : "";
      const int width = options_.on_terminal ? terminal_width(STDOUT_FILENO) : kPlainWidth;
      for (const std::string& line : look.lines(width, 0)) text += line + "\n";
      print(text);
    }
    has_shown_ = true;
  }

 private:
  const Options& options_;
  monitor::Redraw redraw_;
  bool has_shown_ = false;
};

// Shows what `look` sees until it is the last, or the end is asked for. What takes long has to be
// looked at only where it is due to be shown, or nothing will follow.
void watch(const Options& options, const std::function<Look(bool is_due)>& look) {
  constexpr double kMostWaiting = 1.0;  // seconds: the end of a run is seen soon
  Output output(options);
  if (options.once) return output.show(look(true));
  const bool on_screen = options.on_terminal && !options.json;
  monitor::QuitWatch quit(on_screen ? monitor::Keys::kAreRead : monitor::Keys::kAreLeft);
  double due = 0.0;
  for (const Stopwatch stopwatch;;) {
    const bool is_due = stopwatch.seconds() >= due;
    const Look seen = look(is_due);
    if (seen.is_last || is_due) {
      output.show(seen);
      due = stopwatch.seconds() + options.interval;
    }
    if (seen.is_last) return;
    const double left = due - stopwatch.seconds();
    if (quit.wait(std::clamp(left, 0.001, kMostWaiting))) return;
  }
}

void watch_run(const std::string& folder, const Options& options) {
  monitor::RunFollower follower(folder);
  const Nvml nvml;
  monitor::Verdict verdict = monitor::verdict_of(follower.history());
  bool has_changed = false;  // since the verdict
  watch(options, [&](bool is_due) {
    has_changed |= follower.poll();
    const bool goes_on = follower.state() != monitor::RunState::kEnded &&
                         follower.state() != monitor::RunState::kKilled;
    if (has_changed && (is_due || !goes_on)) {
      verdict = monitor::verdict_of(follower.history());
      has_changed = false;
    }
    monitor::Snapshot snapshot =
        monitor::snapshot_of(follower.history(), follower.state(), verdict);
    monitor::add_gpu(follower.history(), nvml, snapshot);
    return Look{
        .lines = [snapshot](int width,
                            int height) { return monitor::run_lines(snapshot, width, height); },
        .json = [snapshot] { return monitor::run_json(snapshot); },
        .is_last = !goes_on};
  });
}

std::vector<GpuFigures> all_gpus(const Nvml& nvml) {
  std::vector<GpuFigures> gpus;
  for (int index = 0; index < nvml.num_gpus(); ++index) {
    if (std::optional<GpuFigures> gpu = nvml.gpu(index)) gpus.push_back(std::move(*gpu));
  }
  return gpus;
}

void watch_gpus(const Options& options) {
  const Nvml nvml;
  if (nvml.num_gpus() == 0) {
    throw Error(ExitCode::kConfig,
                {.what = nvml.why_not().empty() ? "NVML knows of no GPU" : nvml.why_not(),
                 .hint = "name the folder of a run: rung monitor RUN_DIR"});
  }
  watch(options, [&](bool) {
    const std::vector<GpuFigures> gpus = all_gpus(nvml);
    return Look{.lines = [gpus](int width, int) { return monitor::gpu_lines(gpus, width); },
                .json = [gpus] { return monitor::gpus_json(gpus); }};
  });
}

cxxopts::Options make_parser() {
  cxxopts::Options parser(
      "rung monitor",
      "A run, live or afterwards: memory, GPU, progress, and a verdict (healthy, spike, creep,\n"
      "fragmentation, neighbour, out_of_memory) with its evidence and what to do. Without "
      "RUN_DIR:\n"
      "the GPUs of this machine.\n\n"
      "On a terminal the screen is drawn again each second until the run ends, or q or Ctrl-C is\n"
      "pressed; elsewhere a block of lines is printed each 10 seconds.\n\n"
      "Examples:\n"
      "  rung monitor runs/demo\n"
      "  rung monitor runs/demo --once --json\n"
      "  rung monitor\n");
  parser.positional_help("[RUN_DIR]");
  parser.add_options()("run_dir", "output_dir of the run", cxxopts::value<std::string>())(
      "once", "show what is there now, and end")("json", "print a JSON object a line")(
      "interval", "between two looks, 0.1 to 3600 (default: 1 on a terminal, else 10)",
      cxxopts::value<double>(), "SECONDS");
  parser.parse_positional({"run_dir"});
  return parser;
}

Options options_of(const cxxopts::ParseResult& parsed) {
  Options options{.once = parsed.count("once") > 0,
                  .json = parsed.count("json") > 0,
                  .on_terminal = is_terminal(STDOUT_FILENO)};
  if (options.on_terminal && !options.json) options.interval = kScreenSeconds;
  if (parsed.count("interval") == 0) return options;
  options.interval = parsed["interval"].as<double>();
  if (options.interval >= kLeastSeconds && options.interval <= kMostSeconds) return options;
  throw Error(ExitCode::kUsage, {.what = "--interval is out of range",
                                 .got = fmt::format("{}", options.interval),
                                 .expected = "0.1 to 3600 seconds"});
}

}  // namespace

int run_monitor(int argc, char** argv) {
  cxxopts::Options parser = make_parser();
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);
  const Options options = options_of(*parsed);
  if (parsed->count("run_dir") > 0) {
    watch_run((*parsed)["run_dir"].as<std::string>(), options);
  } else {
    watch_gpus(options);
  }
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
