#include "base/error_list.h"

namespace rung {

ErrorList::ErrorList(ExitCode code, const std::string& what,
                     const std::vector<ErrorParts>& problems, const std::string& more)
    : Error(code, {.what = what}), text_(Error::what()) {
  for (const ErrorParts& problem : problems) text_ += "\n  " + format_error(problem);
  if (!more.empty()) text_ += "\n  " + more;
}

}  // namespace rung
