// The lines of the monitor, and how they are drawn again; the whole screen of a run is tested with
// the program (tests/command/monitor_test.cpp).
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "monitor/live_terminal.h"
#include "monitor/text_block.h"

namespace rung::monitor {
namespace {

using Lines = std::vector<std::string>;

Lines lines_of(const std::string& text, int width) {
  TextBlock block(width);
  block.add("label", text);
  return block.take();
}

std::string bar_of(const std::vector<BarPart>& parts, int64_t total) {
  TextBlock block(32);  // twenty cells
  block.add_bar("bar", parts, total);
  const Lines lines = block.take();
  return lines.empty() ? "" : lines.front();
}

TEST(TextBlock, WrapsBetweenWords) {
  EXPECT_EQ(lines_of("one two three four five six", 30),
            (Lines{"label     one two three four", "          five six"}));
  EXPECT_EQ(lines_of("12345678901234567890", 30), (Lines{"label     12345678901234567890"}));
  EXPECT_EQ(lines_of("12345678901234567890 1", 30),
            (Lines{"label     12345678901234567890", "          1"}));
}

TEST(TextBlock, BreaksListsBetweenTheirParts) {
  TextBlock block(30);
  block.add_list("label", {"live 1.0 GiB", "free 2.0 GiB", "of 3.0 GiB"});
  block.add_list("more", {});
  EXPECT_EQ(block.take(),
            (Lines{"label     live 1.0 GiB,", "          free 2.0 GiB,", "          of 3.0 GiB"}));
}

TEST(TextBlock, CutsWordsThatAreTooLong) {
  EXPECT_EQ(lines_of(std::string(45, 'x'), 30),
            (Lines{"label     " + std::string(20, 'x'), "          " + std::string(20, 'x'),
                   "          xxxxx"}));
}

TEST(TextBlock, NeverCutsACharacter) {
  std::string text;
  for (int i = 0; i < 15; ++i) text += "\u00e9";  // two bytes; counted as two columns, may be wide
  const Lines lines = lines_of(text, 30);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].size(), 10u + 20u);
  EXPECT_EQ(lines[1].size(), 10u + 10u);
}

TEST(TextBlock, EscapesControlCharactersAndLineBreaks) {
  EXPECT_EQ(lines_of("a\x1b[2J\nb", 80), (Lines{"label     a\\x1b[2J\\x0ab"}));
  EXPECT_EQ(lines_of("a\tb", 80), (Lines{"label     a\\x09b"}));
}

TEST(TextBlock, HasNoLabelColumnsOnANarrowTerminal) {
  EXPECT_EQ(lines_of("one two three", 12), (Lines{"label one", "two three"}));
  for (int width = -1; width < 20; ++width) {
    for (const std::string& line : lines_of("one two three 12345678901234567890", width)) {
      EXPECT_LE(static_cast<int>(line.size()), std::max(width, 1));
    }
  }
}

TEST(TextBlock, CutsTextsOfTooManyLines) {
  TextBlock block(30);
  block.add("label", "one two three four five six seven eight", 1);
  block.add("more", "one two three", 1);
  EXPECT_EQ(block.take(), (Lines{"label     one two three...", "more      one two three"}));
}

TEST(TextBlock, AddsNothingForNothing) { EXPECT_EQ(lines_of("", 80), Lines{}); }

TEST(TextBlock, BarsHaveTheirShares) {
  EXPECT_EQ(bar_of({{'#', 50}, {'+', 25}}, 100), "bar       [##########+++++.....]");
  EXPECT_EQ(bar_of({}, 100), "bar       [....................]");
  EXPECT_EQ(bar_of({{'#', 7}, {'o', 500}}, 100), "bar       [#ooooooooooooooooooo]");
  EXPECT_EQ(bar_of({{'#', -7}, {'o', 100}}, 100), "bar       [oooooooooooooooooooo]");
  EXPECT_EQ(bar_of({{'#', 1}}, 0), "");
}

TEST(Redraw, ReturnsToTheFirstLine) {
  Redraw redraw;
  EXPECT_EQ(redraw.text({"a", "b"}, 80, 24), "a\x1b[K\nb\x1b[K\n\x1b[J");
  EXPECT_EQ(redraw.text({"c"}, 80, 24), "\r\x1b[2Ac\x1b[K\n\x1b[J");
  EXPECT_EQ(redraw.text({"d"}, 80, 24), "\r\x1b[1Ad\x1b[K\n\x1b[J");
}

TEST(Redraw, LeavesOutWhatIsBelowTheTerminal) {
  Redraw redraw;
  EXPECT_EQ(redraw.text({"a", "b", "c", "d"}, 80, 3), "a\x1b[K\nb\x1b[K\n\x1b[J");
}

TEST(Redraw, ClearsATerminalThatWasMadeNarrower) {
  Redraw redraw;
  redraw.text({"a"}, 80, 24);
  EXPECT_EQ(redraw.text({"b"}, 60, 24), "\x1b[H\x1b[2Jb\x1b[K\n\x1b[J");
}

}  // namespace
}  // namespace rung::monitor
