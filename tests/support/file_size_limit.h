// Makes every file that this process writes end at a number of bytes, as a full disk would.
//
// The write() that passes the limit fails with EFBIG; a full disk gives ENOSPC.
#pragma once

#include <signal.h>
#include <sys/resource.h>

namespace rung::testing {

class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t max_bytes) : old_handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit = {.rlim_cur = max_bytes, .rlim_max = old_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_ = {};
  void (*old_handler_)(int);
};

}  // namespace rung::testing
