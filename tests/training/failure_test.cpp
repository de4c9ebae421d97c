#include "training/failure.h"

#include <gtest/gtest.h>

#include <new>

namespace rung::training {
namespace {

TEST(CurrentFailure, SaysWhereMemoryIsShortAndWhatToDo) {
  try {
    throw std::bad_alloc();
  } catch (...) {
    const Failure failure = current_failure();
    EXPECT_EQ(failure.code, ExitCode::kDoesNotFit);
    EXPECT_NE(failure.message.find("the system gave no more"), std::string::npos)
        << failure.message;
    EXPECT_NE(failure.message.find("lower micro_batch_size"), std::string::npos) << failure.message;
  }
}

}  // namespace
}  // namespace rung::training
