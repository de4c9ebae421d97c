// SIGINT and SIGTERM as a question.
#include "job/stop_signal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

namespace rung::job {
namespace {

TEST(StopSignal, IsNotRequestedBeforeASignal) {
  const StopSignal signal;
  EXPECT_FALSE(StopSignal::requested());
}

TEST(StopSignal, IsRequestedAfterSigterm) {
  const StopSignal signal;
  std::raise(SIGTERM);
  EXPECT_TRUE(StopSignal::requested());
}

TEST(StopSignal, IsRequestedAfterSigint) {
  const StopSignal signal;
  std::raise(SIGINT);
  EXPECT_TRUE(StopSignal::requested());
}

TEST(StopSignal, ForgetsARequestOfAnEarlierOne) {
  {
    const StopSignal signal;
    std::raise(SIGTERM);
  }
  const StopSignal signal;
  EXPECT_FALSE(StopSignal::requested());
}

TEST(StopSignal, SurvivesSigtermAgainAndAgain) {
  const StopSignal signal;
  std::raise(SIGINT);
  for (int i = 0; i < 3; ++i) std::raise(SIGTERM);
  EXPECT_TRUE(StopSignal::requested());
}

constexpr const char* kNotice =
    "stopping: after this micro-batch a checkpoint is saved; a second Ctrl-C ends at once, without "
    "one\n";

TEST(StopSignal, SaysAtOnceWhatHappensNow) {
  for (const int number : {SIGINT, SIGTERM}) {
    ::testing::internal::CaptureStderr();
    const StopSignal signal;
    std::raise(number);
    std::raise(SIGTERM);  // once is enough
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), kNotice);
  }
}

// A pseudo-terminal in place of standard error.
TEST(StopSignal, ATerminalGetsTheNoticeOnALineOfItsOwn) {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_TRUE(terminal >= 0 && ::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0);
  const int other_end = ::open(::ptsname(terminal), O_RDWR | O_NOCTTY);
  ASSERT_GE(other_end, 0);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(other_end, STDERR_FILENO);
  {
    const StopSignal signal;
    std::raise(SIGINT);
  }
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  ::close(other_end);
  char text[256] = {};
  ASSERT_GT(::read(terminal, text, sizeof(text) - 1), 0);
  ::close(terminal);
  EXPECT_TRUE(std::string(text).starts_with("\r\nstopping: after this micro-batch")) << text;
}

TEST(StopSignalDeathTest, EndsTheProcessAtASecondSigint) {
  EXPECT_EXIT(
      {
        const StopSignal signal;
        std::raise(SIGINT);
        std::raise(SIGINT);
        std::exit(0);
      },
      ::testing::ExitedWithCode(130), "");
}

TEST(StopSignalDeathTest, EndsTheProcessAtSigintAfterSigterm) {
  EXPECT_EXIT(
      {
        const StopSignal signal;
        std::raise(SIGTERM);
        std::raise(SIGINT);
        std::exit(0);
      },
      ::testing::ExitedWithCode(130), "");
}

TEST(StopSignalDeathTest, GivesTheSignalsBackAtItsEnd) {
  EXPECT_EXIT(
      {
        { const StopSignal signal; }
        std::raise(SIGTERM);
        std::exit(0);
      },
      ::testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
}  // namespace rung::job
