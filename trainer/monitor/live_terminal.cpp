#include "monitor/live_terminal.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/stopwatch.h"

namespace rung::monitor {
namespace {

// ECMA-48 control sequences, which every terminal of the last decades understands.
constexpr const char* kEraseLine = "\x1b[K";
constexpr const char* kEraseBelow = "\x1b[J";
constexpr const char* kEraseAll = "\x1b[H\x1b[2J";

// Those that whoever started the process wants it to survive are none of them.
sigset_t quit_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    struct sigaction action = {};
    const bool is_ignored =
        sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
    if (!is_ignored) sigaddset(&signals, signal);
  }
  return signals;
}

// A program in the background that touched the terminal would be stopped.
bool is_foreground() {
  return ::isatty(STDIN_FILENO) == 1 && ::tcgetpgrp(STDIN_FILENO) == ::getpgrp();
}

}  // namespace

QuitWatch::QuitWatch(Keys keys) : signals_(-1) {
  watch_signals();
  if (keys == Keys::kAreRead) read_keys();
}

void QuitWatch::watch_signals() {
  const sigset_t signals = quit_signals();
  sigprocmask(SIG_BLOCK, &signals, &signals_before_);
  signals_ = FileDescriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  // Blocked without an answer, nothing but SIGKILL would end the process.
  if (!signals_.is_open()) sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
}

void QuitWatch::read_keys() {
  termios terminal = {};
  if (!is_foreground() || ::tcgetattr(STDIN_FILENO, &terminal) != 0) return;
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &pipe_before_);
  terminal_before_ = terminal;
  terminal.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  terminal.c_cc[VMIN] = 0;  // a read never waits
  terminal.c_cc[VTIME] = 0;
  reads_keys_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &terminal) == 0;
}

QuitWatch::~QuitWatch() {
  if (terminal_before_) {
    if (is_foreground()) ::tcsetattr(STDIN_FILENO, TCSANOW, &*terminal_before_);
    sigaction(SIGPIPE, &pipe_before_, nullptr);
  }
  // Those that came have been answered, and must not end the process now.
  signalfd_siginfo info;
  if (!signals_.is_open()) return;
  while (::read(signals_.get(), &info, sizeof(info)) > 0) continue;
  sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
}

bool QuitWatch::wait(double seconds) {
  const Stopwatch stopwatch;
  while (true) {
    const double left = seconds - stopwatch.seconds();
    if (left <= 0.0) return false;
    std::array<pollfd, 2> events = {{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                     {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}}};
    const nfds_t count = reads_keys_ ? 2 : 1;
    if (::poll(events.data(), count, static_cast<int>(std::ceil(left * 1000.0))) <= 0) continue;
    if (events[0].revents != 0) return true;
    if (reads_keys_ && events[1].revents != 0 && has_quit_key()) return true;
  }
}

bool QuitWatch::has_quit_key() {
  std::array<char, 64> keys;
  const ssize_t count = ::read(STDIN_FILENO, keys.data(), keys.size());
  if (count <= 0) {
    reads_keys_ = false;  // the terminal is gone
    return false;
  }
  return std::any_of(keys.begin(), keys.begin() + count,
                     [](char key) { return key == 'q' || key == 'Q'; });
}

std::string Redraw::text(std::vector<std::string> lines, int width, int height) {
  lines.resize(std::min(lines.size(), static_cast<size_t>(std::max(height - 1, 1))));
  std::string text;
  if (num_shown_ > 0 && width != width_) {
    text = kEraseAll;  // the terminal has wrapped the old lines anew, nobody knows where
  } else if (num_shown_ > 0) {
    text = fmt::format("\r\x1b[{}A", num_shown_);
  }
  for (const std::string& line : lines) text += line + kEraseLine + "\n";
  num_shown_ = lines.size();
  width_ = width;
  return text + kEraseBelow;
}

}  // namespace rung::monitor
