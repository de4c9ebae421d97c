// Where and when it is that somebody looks.
#pragma once

#include <unistd.h>

#include <chrono>
#include <string>

namespace rung::monitor {

inline std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

inline double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace rung::monitor
