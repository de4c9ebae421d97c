// A few lines on a terminal that are drawn again in place, and the end of a live view: the key q,
// Ctrl-C, or any signal that asks for it.
#pragma once

#include <signal.h>
#include <termios.h>

#include <optional>
#include <string>
#include <vector>

#include "base/file_descriptor.h"

namespace rung::monitor {

// While it lives, SIGINT, SIGTERM and SIGHUP do not end the process but are an answer of wait(),
// and keys are read as they are typed where standard input is this process's terminal. The terminal
// is as before afterwards.
class QuitWatch {
 public:
  QuitWatch();
  ~QuitWatch();
  QuitWatch(const QuitWatch&) = delete;
  QuitWatch& operator=(const QuitWatch&) = delete;

  // Waits for so long; true, and at once, where the end is asked for.
  bool wait(double seconds);

 private:
  bool has_quit_key();

  sigset_t signals_before_ = {};
  FileDescriptor signals_;
  std::optional<termios> terminal_before_;
  bool reads_keys_ = false;
};

// What to write to a terminal to show lines in the place of those that it shows.
class Redraw {
 public:
  // Lines that do not fit on a terminal of this height are left out, from the end.
  std::string text(std::vector<std::string> lines, int width, int height);

 private:
  size_t num_shown_ = 0;
  int width_ = 0;
};

}  // namespace rung::monitor
