#include "command/report.h"

#include <fmt/format.h>

#include <string>

#include "base/error.h"
#include "base/publish.h"
#include "command/command_line.h"
#include "monitor/report_page.h"
#include "monitor/run_history.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;

// The name of the folder, whichever way leads to it.
std::string title_of(const fs::path& run_dir) {
  const fs::path full = fs::weakly_canonical(run_dir);
  return full.has_filename() ? full.filename().string() : full.parent_path().filename().string();
}

}  // namespace

void write_report(const fs::path& run_dir, const fs::path& page) {
  // Publishing puts a new file in the place of the old one: of the file that a link means, and of
  // no device or pipe.
  const fs::path file = fs::weakly_canonical(page);
  if (fs::exists(file) && !fs::is_regular_file(file)) {
    throw Error(ExitCode::kConfig, {.what = "the page cannot be put where no regular file is",
                                    .hint = "give --out the name of a file",
                                    .where = page.string()});
  }
  const monitor::RunHistory history = monitor::read_run_history(run_dir);
  publish_file(file, monitor::report_html(history, title_of(run_dir)));
}

int run_report(int argc, char** argv) {
  cxxopts::Options parser(
      "rung report",
      "The curves and the memory of a run, finished or not, as one HTML page.\n\n"
      "Examples:\n"
      "  rung report runs/demo\n"
      "  rung report runs/demo --out demo.html\n");
  parser.positional_help("RUN_DIR");
  parser.add_options()("run_dir", "the output_dir of a run", cxxopts::value<std::string>())(
      "out", "the page; without it RUN_DIR/report.html", cxxopts::value<std::string>(), "FILE");
  parser.parse_positional({"run_dir"});
  const auto parsed = parse_arguments(parser, argc, argv);
  if (!parsed) return static_cast<int>(ExitCode::kOk);

  const fs::path run_dir = required(*parsed, "run_dir", "report");
  const fs::path file = parsed->count("out") > 0 ? fs::path((*parsed)["out"].as<std::string>())
                                                 : run_dir / "report.html";
  write_report(run_dir, file);
  print(escape_for_terminal(file.string()) + "\n");
  return static_cast<int>(ExitCode::kOk);
}

}  // namespace rung::command
