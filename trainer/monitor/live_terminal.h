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

enum class Keys {
  kAreRead,  // as they are typed, where standard input is this process's terminal
  kAreLeft   // standard input and its terminal are not touched
};

// While it lives, SIGINT, SIGTERM, SIGHUP and SIGQUIT do not end the process but are an answer of
// wait(); one that is ignored (nohup, a job in the background) stays so. Where keys are read
// SIGPIPE is ignored, too: nothing ends the process behind the back of the destructor, which leaves
// the terminal as it was.
class QuitWatch {
 public:
  explicit QuitWatch(Keys keys);
  ~QuitWatch();
  QuitWatch(const QuitWatch&) = delete;
  QuitWatch& operator=(const QuitWatch&) = delete;

  // Waits for so long; true, and at once, where the end is asked for.
  bool wait(double seconds);

 private:
  void watch_signals();
  void read_keys();
  bool has_quit_key();

  sigset_t signals_before_ = {};
  struct sigaction pipe_before_ = {};
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
