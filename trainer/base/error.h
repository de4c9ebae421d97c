// Errors a user can act on.
//
// Everything the user caused (a wrong key, a damaged file, a model that does not fit) is thrown as
// `Error` with the exit code of the process and its parts; main() prints one line from them and
// returns the code. Programmer errors are assertions, not Errors.
#pragma once

#include <stdexcept>
#include <string>

namespace rung {

// What the process returns; batch scripts branch on it (README, "Exit codes").
enum class ExitCode : int {
  kOk = 0,
  kInternal = 1,  // a bug in rung
  kUsage = 2,     // bad usage of the command line
  kConfig = 3,    // a path, key, datum or device that the configuration names is absent or refused
  kDoesNotFit = 4,  // out of memory
  kDiverged = 5,    // non-finite steps in a row
  kDamaged = 6,     // a file is there but damaged, disk full, I/O error
  kStopped = 75,    // stopped on request, checkpoint saved: run again
};

// The parts of a message. Only `what` is required; empty parts are left out of the text.
struct ErrorParts {
  std::string what;      // the thing and what is wrong: "lora_r is out of range"
  std::string got;       // the value found
  std::string expected;  // what would have been right
  std::string hint;      // what to do
  std::string where;     // file:line, file, or tensor
};

// Reads: "what: got G, expected E; hint (where)".
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, ErrorParts parts);

  ExitCode code() const { return code_; }
  const ErrorParts& parts() const { return parts_; }

 private:
  ExitCode code_;
  ErrorParts parts_;
};

// The one-line text of `parts`, control characters escaped (messages quote untrusted files).
std::string format_error(const ErrorParts& parts);

// `text` with control bytes and invalid UTF-8 as \xNN, so that nothing read from a file can drive
// the terminal.
std::string escape_for_terminal(std::string_view text);

}  // namespace rung
