// Which linears get an adapter.
#pragma once

#include <string>
#include <vector>

#include "base/run_config.h"

namespace rung::model {

// The module paths among `linears` that `targets` names, in the order of `linears`. A list entry
// names a module that equals it or ends in "." + it; a regular expression must match the whole path
// (both as PEFT does). The output head is no member of `linears`. Throws Error kConfig where an
// entry matches nothing.
std::vector<std::string> match_targets(const TargetModules& targets,
                                       const std::vector<std::string>& linears);

}  // namespace rung::model
