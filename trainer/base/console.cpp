#include "base/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <ostream>
#include <utility>
#include <vector>

namespace rung {
namespace {

constexpr int kDefaultWidth = 80;
constexpr int kDefaultHeight = 24;
constexpr int kBarCells = 20;

double seconds_left(const ProgressState& state, const ProgressOptions& options) {
  const int64_t done = state.step - options.first_step;  // in this process: only these were timed
  if (done <= 0) return std::numeric_limits<double>::quiet_NaN();
  const double step_seconds = state.elapsed_seconds / static_cast<double>(done);
  return step_seconds * static_cast<double>(options.total_steps - state.step) +
         state.seconds_beside;
}

std::string bar_text(const ProgressState& state, const ProgressOptions& options) {
  const double share =
      options.total_steps <= 0
          ? 0
          : std::clamp(static_cast<double>(state.step) / static_cast<double>(options.total_steps),
                       0.0, 1.0);
  const auto filled = static_cast<size_t>(share * kBarCells);
  return fmt::format("[{:.<{}}]", std::string(filled, '#'), kBarCells);
}

// A part of the line, all of them ASCII: a byte is a column.
struct Part {
  std::string text;
  int importance;  // where the line is too long, the least important part is left out first
};

std::vector<Part> progress_parts(const ProgressState& state, const ProgressOptions& options) {
  return {{fmt::format("step {}/{}", state.step, options.total_steps), 7},
          {fmt::format("epoch {:.2f}", state.epoch), 1},
          {fmt::format("loss {:.4f}", state.loss), 6},
          {fmt::format("{} tok/s", format_count(static_cast<int64_t>(state.tokens_per_second))), 4},
          {fmt::format("peak {}", format_bytes(state.peak_memory)), 2},
          {fmt::format("ETA {}", format_duration(seconds_left(state, options))), 5}};
}

std::string joined(const std::vector<Part>& parts) {
  std::string line;
  for (const Part& part : parts) {
    if (!line.empty()) line += line.back() == ']' ? " " : "  ";
    line += part.text;
  }
  return line;
}

// The parts that fit into `columns`, each whole.
std::string fitted_line(std::vector<Part> parts, size_t columns) {
  while (!parts.empty() && joined(parts).size() > columns) {
    parts.erase(std::ranges::min_element(parts, {}, &Part::importance));
  }
  return joined(parts);
}

// What else is going on comes behind the step.
std::vector<Part> with_activity(std::vector<Part> parts, const std::string& activity) {
  if (activity.empty()) return parts;
  parts.insert(parts.empty() ? parts.end() : parts.begin() + 1, {activity, 8});
  return parts;
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

size_t status_columns(int width) {
  const int columns = width > 0 ? width : terminal_width(STDERR_FILENO);
  return static_cast<size_t>(std::max(columns - 1, 0));
}

int terminal_height(int descriptor) {
  winsize size = {};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row
                                                                        : kDefaultHeight;
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : escape_for_terminal(text)) {
    if (c == '\n') {
      line += "\\x0a";
    } else {
      line += c;
    }
  }
  return line;
}

std::string progress_text(const ProgressState& state, const ProgressOptions& options) {
  return joined(progress_parts(state, options));
}

void Progress::update(const ProgressState& state) {
  state_ = state;
  if (options_.in_place) return draw("");
  const bool is_due = state.step % options_.logging_steps == 0 ||
                      state.step == options_.total_steps || was_silent_for_long();
  if (is_due) write_line(progress_text(state, options_));
}

void Progress::evaluating(const EvaluationState& evaluation) {
  if (state_) state_->seconds_beside = evaluation.seconds_beside;
  const std::string activity = fmt::format("evaluating {}/{}", evaluation.done, evaluation.total);
  if (options_.in_place) {
    if (options_.clock() - drawn_seconds_ >= kRedrawSeconds) draw(activity);
  } else if (was_silent_for_long()) {
    std::vector<Part> parts;
    if (state_) parts = progress_parts(*state_, options_);
    write_line(joined(with_activity(std::move(parts), activity)));
  }
}

void Progress::draw(const std::string& activity) {
  std::vector<Part> parts;
  if (state_) parts = progress_parts(*state_, options_);
  parts = with_activity(std::move(parts), activity);
  if (state_) parts.insert(parts.begin(), {bar_text(*state_, options_), 3});
  bar_.draw(fitted_line(std::move(parts), status_columns(options_.width)));
  drawn_seconds_ = options_.clock();
}

bool Progress::was_silent_for_long() const {
  return options_.clock() - last_line_seconds_ >= options_.line_seconds;
}

void Progress::write_line(const std::string& line) {
  out_ << line << '\n' << std::flush;
  last_line_seconds_ = options_.clock();
}

void Progress::message(std::string_view text) {
  const bool has_bar = !bar_.shown().empty();
  if (has_bar) bar_.draw("");
  out_ << escape_for_terminal(text) << '\n' << std::flush;
  if (has_bar && state_) draw("");
}

}  // namespace rung
