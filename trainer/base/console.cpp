#include "base/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <ostream>

namespace rung {
namespace {

constexpr int kDefaultWidth = 80;
constexpr int kBarCells = 20;

double seconds_left(const ProgressState& state, const ProgressOptions& options) {
  const int64_t done = state.step - options.first_step;  // in this process: only these were timed
  if (done <= 0) return std::numeric_limits<double>::quiet_NaN();
  const double step_seconds = state.elapsed_seconds / static_cast<double>(done);
  return step_seconds * static_cast<double>(options.total_steps - state.step);
}

std::string bar_text(const ProgressState& state, const ProgressOptions& options) {
  const double share =
      options.total_steps <= 0
          ? 0
          : std::clamp(static_cast<double>(state.step) / static_cast<double>(options.total_steps),
                       0.0, 1.0);
  const auto filled = static_cast<size_t>(share * kBarCells);
  return fmt::format("[{:.<{}}] ", std::string(filled, '#'), kBarCells);
}

}  // namespace

bool is_terminal(int descriptor) {
  const char* type = std::getenv("TERM");
  return ::isatty(descriptor) == 1 && type != nullptr && std::string_view(type) != "dumb";
}

int terminal_width(int descriptor) {
  winsize size = {};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col
                                                                        : kDefaultWidth;
}

std::string progress_text(const ProgressState& state, const ProgressOptions& options) {
  return fmt::format("step {}/{}  epoch {:.2f}  loss {:.4f}  {} tok/s  peak {}  ETA {}", state.step,
                     options.total_steps, state.epoch, state.loss,
                     format_count(static_cast<int64_t>(state.tokens_per_second)),
                     format_bytes(state.peak_memory),
                     format_duration(seconds_left(state, options)));
}

Progress::~Progress() { finish(); }

void Progress::draw(const std::string& line) {
  // Erasing by spaces needs nothing of the terminal but "\r".
  const size_t blanks = bar_.size() > line.size() ? bar_.size() - line.size() : 0;
  out_ << '\r' << line << std::string(blanks, ' ');
  if (line.empty()) out_ << '\r';
  out_ << std::flush;
  bar_ = line;
}

void Progress::update(const ProgressState& state) {
  const std::string text = progress_text(state, options_);
  if (options_.in_place) {
    std::string line = bar_text(state, options_) + text;
    // A line that fills the last column would wrap, and "\r" could not return to its start.
    line.resize(std::min(line.size(), static_cast<size_t>(std::max(options_.width - 1, 1))));
    draw(line);
    return;
  }
  const bool is_due = state.step % options_.logging_steps == 0 ||
                      state.step == options_.total_steps ||
                      state.elapsed_seconds - last_line_seconds_ >= options_.line_seconds;
  if (!is_due) return;
  out_ << text << '\n' << std::flush;
  last_line_seconds_ = state.elapsed_seconds;
}

void Progress::message(std::string_view text) {
  const std::string bar = bar_;
  if (!bar.empty()) draw("");
  out_ << escape_for_terminal(text) << '\n' << std::flush;
  if (!bar.empty()) draw(bar);
}

void Progress::finish() {
  if (bar_.empty()) return;
  out_ << '\n' << std::flush;
  bar_.clear();
}

}  // namespace rung
