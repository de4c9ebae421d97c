// What went wrong, for run.json and for the last line on the terminal.
#pragma once

#include <string>

#include "base/error.h"

namespace rung::training {

struct Failure {
  ExitCode code = ExitCode::kInternal;
  std::string message;  // one line (several for an ErrorList), escaped
};

// Describes the exception in flight; only inside a catch block. Exceptions that are no Error are
// sorted by kind: out of memory, the file system, and kInternal for the rest.
Failure current_failure();

}  // namespace rung::training
