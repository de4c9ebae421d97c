#include "job/stop_signal.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace rung::job {
namespace {

// The line break in front is for a terminal, where a progress bar or its own "^C" stands on the
// line.
constexpr char kNotice[] =
    "\nstopping: after this micro-batch a checkpoint is saved; a second Ctrl-C ends at once, "
    "without "
    "one\n";

volatile std::sig_atomic_t signals_seen = 0;
volatile std::sig_atomic_t is_on_terminal = 0;

// Nothing but what signal-safety(7) allows.
extern "C" void on_stop_signal(int number) {
  if (signals_seen != 0 && number == SIGINT) _exit(130);
  if (signals_seen != 0) return;
  signals_seen = 1;
  const int before = errno;
  const size_t begin = is_on_terminal != 0 ? 0 : 1;
  // Where nobody can read it, it is lost.
  [[maybe_unused]] const ssize_t written =
      ::write(STDERR_FILENO, kNotice + begin, sizeof(kNotice) - 1 - begin);
  errno = before;
}

void handle(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;  // reads and writes under way go on
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

StopSignal::StopSignal() {
  signals_seen = 0;
  is_on_terminal = ::isatty(STDERR_FILENO);
  handle(&on_stop_signal);
}

StopSignal::~StopSignal() { handle(SIG_DFL); }

bool StopSignal::requested() { return signals_seen != 0; }

}  // namespace rung::job
