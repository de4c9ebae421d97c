// A line of a terminal that is redrawn in place.
#pragma once

#include <iosfwd>
#include <string>

namespace rung {

inline constexpr double kRedrawSeconds = 0.1;  // between two states of a line that changes quickly

class StatusLine {
 public:
  explicit StatusLine(std::ostream& out) : out_(out) {}
  ~StatusLine() { finish(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  // Takes the place of what is shown; "" erases it. `line` is narrower than the terminal: one that
  // fills its last column would wrap, and "\r" could not return to its start.
  void draw(const std::string& line);
  // Leaves the line on screen and ends it.
  void finish();
  // What is on screen now; "" = nothing.
  const std::string& shown() const { return shown_; }

 private:
  std::ostream& out_;
  std::string shown_;
};

}  // namespace rung
