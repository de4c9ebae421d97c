// Where and when it is, as locks and records have it.
#pragma once

#include <string>

namespace rung {

std::string host_name();  // "unknown host" where it has none

double seconds_since_1970();

}  // namespace rung
