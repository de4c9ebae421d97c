#include "job/stop_signal.h"

#include <unistd.h>

#include <csignal>

namespace rung::job {
namespace {

volatile std::sig_atomic_t signals_seen = 0;

extern "C" void on_stop_signal(int number) {
  if (signals_seen != 0 && number == SIGINT) _exit(130);
  signals_seen = 1;
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
  handle(&on_stop_signal);
}

StopSignal::~StopSignal() { handle(SIG_DFL); }

bool StopSignal::requested() { return signals_seen != 0; }

}  // namespace rung::job
