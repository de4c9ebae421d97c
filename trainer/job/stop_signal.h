// Ctrl-C and SIGTERM as a question: the loop asks between micro-batches, saves, and ends with exit
// code 75.
#pragma once

namespace rung::job {

// While it lives, SIGINT and SIGTERM only set a flag, and the first one says on standard error what
// happens now; a second SIGINT ends the process at once (exit code 130, as a shell has it). One at
// a time: a signal handler can reach nothing but a global.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  static bool requested();
};

}  // namespace rung::job
