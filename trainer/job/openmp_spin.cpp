#include "job/openmp_spin.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

namespace rung::job {
namespace {

// Rounds of libgomp's waiting loop; its own default is 300,000
// (docs/decisions/short-openmp-spin.md).
constexpr const char* kSpinCount = "3000";

}  // namespace

void shorten_openmp_spin(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  // Started by a dynamic linker that was called as a program: that one is /proc/self/exe then.
  if (::getauxval(AT_BASE) == 0) return;
  // Not /proc/self/exe itself: the process would be called "exe" in every list.
  char path[PATH_MAX + 1];
  const ssize_t length = ::readlink("/proc/self/exe", path, PATH_MAX);
  if (length <= 0 || length >= PATH_MAX) return;
  path[length] = '\0';
  if (::setenv("GOMP_SPINCOUNT", kSpinCount, 1) != 0) return;
  ::execv(path, argv);
}

}  // namespace rung::job
