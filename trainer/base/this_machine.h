// The name of this machine, as locks and records have it.
#pragma once

#include <string>

namespace rung {

std::string host_name();  // "unknown host" where it has none

}  // namespace rung
