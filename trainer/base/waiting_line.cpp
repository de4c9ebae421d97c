#include "base/waiting_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <ostream>
#include <utility>

#include "base/console.h"
#include "base/units.h"

namespace rung {

WaitingLine::WaitingLine(std::ostream& out, WaitingLineOptions options)
    : out_(out), options_(std::move(options)), line_(out), next_(options_.quiet_seconds) {}

void WaitingLine::show(const std::string& line) {
  has_spoken_ = true;
  write(line);
  next_ = seconds() + (options_.in_place ? kRedrawSeconds : options_.line_seconds);
}

void WaitingLine::finish(const std::string& line) {
  if (!has_spoken_) return;
  write(line);
  line_.finish();
}

void WaitingLine::write(const std::string& line) {
  if (!options_.in_place) {
    out_ << line << '\n' << std::flush;
    return;
  }
  line_.draw(line.substr(0, status_columns(options_.width)));
}

std::string share_text(double share, double seconds) {
  return fmt::format(", {:.0f} %, {} left", 100.0 * share,
                     format_duration(seconds * (1.0 - share) / share));
}

WaitingLineOptions waiting_line_options() { return {.in_place = is_terminal(STDERR_FILENO)}; }

}  // namespace rung
