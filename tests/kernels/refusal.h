// What a launcher says when it refuses its arguments.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace rung::testing {

// The text of the std::invalid_argument that `action` throws; a test failure and "" without one.
inline std::string refusal_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

}  // namespace rung::testing
