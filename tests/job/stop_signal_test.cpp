// SIGINT and SIGTERM as a question.
#include "job/stop_signal.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

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
