// Expectations about rung::Error: its exit code and words of its message.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/error.h"

namespace rung::testing {

// The message of the Error with `code` that `action` throws; a test failure and "" where it
// throws none or another.
inline std::string error_of(ExitCode code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no rung::Error was thrown";
  return "";
}

inline void expect_error(ExitCode code, const std::string& words,
                         const std::function<void()>& action) {
  const std::string message = error_of(code, action);
  EXPECT_NE(message.find(words), std::string::npos)
      << "message: " << message << "\nlacks:   " << words;
}

}  // namespace rung::testing
