#include "base/status_line.h"

#include <ostream>

namespace rung {

void StatusLine::draw(const std::string& line) {
  // Erasing by spaces needs nothing of the terminal but "\r".
  const size_t blanks = shown_.size() > line.size() ? shown_.size() - line.size() : 0;
  out_ << '\r' << line << std::string(blanks, ' ');
  if (line.empty()) out_ << '\r';
  out_ << std::flush;
  shown_ = line;
}

void StatusLine::finish() {
  if (shown_.empty()) return;
  out_ << '\n' << std::flush;
  shown_.clear();
}

}  // namespace rung
