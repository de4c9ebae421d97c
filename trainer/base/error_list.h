// Several problems as one error: the only one whose message has more than one line.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace rung {

class ErrorList : public Error {
 public:
  // `what` heads the list: "3 errors in the configuration". `more`, if any, is its last line.
  ErrorList(ExitCode code, const std::string& what, const std::vector<ErrorParts>& problems,
            const std::string& more = "");
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

}  // namespace rung
