// What went wrong, for run.json and for the last line on the terminal.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace rung::training {

struct Failure {
  ExitCode code = ExitCode::kInternal;
  std::string message;  // one line (several for an ErrorList), escaped
};

// The reason of a std::bad_alloc, which has none itself.
inline constexpr std::string_view kRefusedBySystem =
    "host memory: the system gave no more (std::bad_alloc; see ulimit -v and what else is running)";

// Describes the exception in flight; only inside a catch block. Exceptions that are no Error are
// sorted by kind: out of memory, the file system, and kInternal for the rest.
Failure current_failure();

}  // namespace rung::training
