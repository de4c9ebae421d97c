#include "base/console.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

namespace rung {
namespace {

ProgressState state_at(int64_t step, double elapsed_seconds) {
  return {.step = step,
          .epoch = 0.5,
          .loss = 1.23456,
          .tokens_per_second = 8123.4,
          .peak_memory = int64_t{3} << 30,
          .elapsed_seconds = elapsed_seconds};
}

TEST(ProgressText, SaysStepLossSpeedMemoryAndTimeLeft) {
  EXPECT_EQ(progress_text(state_at(10, 20), {.total_steps = 40}),
            "step 10/40  epoch 0.50  loss 1.2346  8,123 tok/s  peak 3.0 GiB  ETA 1 min 00 s");
}

TEST(ProgressText, TimeLeftCountsTheStepsOfThisProcess) {
  const std::string text = progress_text(state_at(30, 20), {.total_steps = 40, .first_step = 20});
  EXPECT_NE(text.find("ETA 20.0 s"), std::string::npos) << text;
}

TEST(ProgressText, TimeLeftIsUnknownBeforeTheFirstStep) {
  const std::string text = progress_text(state_at(20, 0), {.total_steps = 40, .first_step = 20});
  EXPECT_NE(text.find("ETA ?"), std::string::npos) << text;
}

TEST(Progress, PlainOutputIsALineALoggingStep) {
  std::ostringstream out;
  {
    Progress progress(out, {.total_steps = 5, .logging_steps = 2});
    for (int64_t step = 1; step <= 5; ++step) progress.update(state_at(step, 1));
  }
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);  // steps 2, 4 and the last
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST(Progress, PlainOutputIsNeverSilentForLong) {
  std::ostringstream out;
  double seconds = 59;
  Progress progress(out,
                    {.total_steps = 100, .logging_steps = 50, .line_seconds = 60, .clock = [&] {
                       return seconds;
                     }});
  progress.update(state_at(1, 59));
  EXPECT_EQ(out.str(), "");
  seconds = 61;
  progress.update(state_at(2, 61));
  EXPECT_NE(out.str().find("step 2/100"), std::string::npos);
  out.str("");
  seconds = 120;
  progress.evaluating({.done = 12, .total = 40});
  EXPECT_EQ(out.str(), "");
  seconds = 121;
  progress.evaluating({.done = 13, .total = 40});
  EXPECT_EQ(out.str().rfind("step 2/100  evaluating 13/40  epoch 0.50", 0), 0U) << out.str();
}

TEST(ProgressText, TimeLeftHasWhatIsExpectedBesideTheSteps) {
  ProgressState state = state_at(10, 20);
  state.seconds_beside = 7;
  const std::string text = progress_text(state, {.total_steps = 20});
  EXPECT_NE(text.find("ETA 27.0 s"), std::string::npos) << text;
}

// What is on a terminal of 60 columns after so many examples of an evaluation, 3 s of which are
// still expected.
struct Evaluating {
  std::string shown() {
    std::string line = out.str();
    line = line.substr(line.rfind('\r') + 1);
    return line.substr(0, line.find_last_not_of(' ') + 1);
  }

  double seconds = 0;
  std::ostringstream out;
  Progress progress{
      out, {.total_steps = 4, .in_place = true, .width = 60, .clock = [this] { return seconds; }}};
};

TEST(Progress, ATerminalShowsHowFarAnEvaluationIs) {
  Evaluating run;
  run.progress.update(state_at(1, 1));
  run.seconds = 1;
  run.progress.evaluating({.done = 12, .total = 40, .seconds_beside = 3});
  EXPECT_EQ(run.shown(), "step 1/4  evaluating 12/40  loss 1.2346  ETA 6.00 s");
  run.seconds = 1.05;  // too soon to be seen
  run.progress.evaluating({.done = 13, .total = 40, .seconds_beside = 3});
  EXPECT_EQ(run.shown(), "step 1/4  evaluating 12/40  loss 1.2346  ETA 6.00 s");
  run.progress.message("validation loss 1");
  EXPECT_EQ(run.shown(), "step 1/4  loss 1.2346  8,123 tok/s  ETA 6.00 s");
}

// As a resumed run may.
TEST(Progress, AnEvaluationMayComeBeforeTheFirstStep) {
  Evaluating run;
  run.seconds = 1;
  run.progress.evaluating({.done = 12, .total = 40});
  EXPECT_EQ(run.shown(), "evaluating 12/40");
  run.progress.message("done");
  EXPECT_EQ(run.out.str(), "\revaluating 12/40\r                \rdone\n");
}

TEST(Progress, TerminalLineIsRedrawnInPlace) {
  std::ostringstream out;
  Progress progress(out, {.total_steps = 4, .in_place = true, .width = 120});
  progress.update(state_at(1, 1));
  progress.update(state_at(2, 2));
  EXPECT_EQ(out.str(),
            "\r[#####...............] step 1/4  epoch 0.50  loss 1.2346  8,123 tok/s  "
            "peak 3.0 GiB  ETA 3.00 s"
            "\r[##########..........] step 2/4  epoch 0.50  loss 1.2346  8,123 tok/s  "
            "peak 3.0 GiB  ETA 2.00 s");
}

// The line of a terminal of `width` columns.
std::string line_in(int width) {
  std::ostringstream out;
  Progress progress(out, {.total_steps = 4, .in_place = true, .width = width});
  progress.update(state_at(1, 1));
  std::string line = out.str();
  std::erase(line, '\r');
  return line;
}

TEST(Progress, ANarrowTerminalLosesTheLeastImportantPartsFirst) {
  EXPECT_EQ(line_in(96), line_in(200)) << "95 columns, and one that stays free";
  EXPECT_EQ(line_in(95),
            "[#####...............] step 1/4  loss 1.2346  8,123 tok/s  peak 3.0 GiB  ETA 3.00 s");
  EXPECT_EQ(line_in(80), "[#####...............] step 1/4  loss 1.2346  8,123 tok/s  ETA 3.00 s");
  EXPECT_EQ(line_in(60), "step 1/4  loss 1.2346  8,123 tok/s  ETA 3.00 s");
  EXPECT_EQ(line_in(40), "step 1/4  loss 1.2346  ETA 3.00 s");
  EXPECT_EQ(line_in(30), "step 1/4  loss 1.2346");
  EXPECT_EQ(line_in(12), "step 1/4");
}

TEST(Progress, NeverFillsTheLastColumn) {
  for (int width = 1; width < 120; ++width) {
    EXPECT_LT(line_in(width).size(), static_cast<size_t>(width));
  }
}

TEST(Progress, MessagesStandAboveTheBar) {
  std::ostringstream out;
  Progress progress(out, {.total_steps = 4, .in_place = true, .width = 10});
  progress.update(state_at(1, 1));
  out.str("");
  progress.message("saved");
  EXPECT_EQ(out.str(), "\r        \rsaved\n\rstep 1/4");
}

TEST(Progress, MessagesCannotDriveTheTerminal) {
  std::ostringstream out;
  Progress progress(out, {});
  progress.message("name \x1b[2J\r");
  EXPECT_EQ(out.str(), "name \\x1b[2J\\x0d\n");
}

TEST(Progress, FinishEndsTheLine) {
  std::ostringstream out;
  {
    Progress progress(out, {.total_steps = 1, .in_place = true});
    progress.update(state_at(1, 1));
  }
  EXPECT_EQ(out.str().back(), '\n');
}

TEST(Terminal, AFileIsNone) {
  EXPECT_FALSE(is_terminal(-1));
  EXPECT_EQ(terminal_width(-1), 80);
}

}  // namespace
}  // namespace rung
