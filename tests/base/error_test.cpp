#include "base/error.h"

#include <gtest/gtest.h>

namespace rung {
namespace {

TEST(Error, JoinsItsParts) {
  const Error error(ExitCode::kConfig, {.what = "lora_r is out of range",
                                        .got = "0",
                                        .expected = "1..1024",
                                        .hint = "raise it",
                                        .where = "c.yaml:12"});
  EXPECT_STREQ(error.what(),
               "lora_r is out of range: got 0, expected 1..1024; raise it (c.yaml:12)");
  EXPECT_EQ(error.code(), ExitCode::kConfig);
}

TEST(Error, LeavesOutEmptyParts) {
  EXPECT_EQ(format_error({.what = "x"}), "x");
  EXPECT_EQ(format_error({.what = "x", .expected = "y"}), "x: expected y");
  EXPECT_EQ(format_error({.what = "x", .where = "f"}), "x (f)");
}

TEST(EscapeForTerminal, KeepsText) {
  const std::string text = "line\n\ttab é 漢 \U0001f600 ~";
  EXPECT_EQ(escape_for_terminal(text), text);
}

TEST(EscapeForTerminal, ShowsControlsAndInvalidBytes) {
  EXPECT_EQ(escape_for_terminal("\x1b[2J\r\x7f"), "\\x1b[2J\\x0d\\x7f");
  EXPECT_EQ(escape_for_terminal("\xc2\x9b"
                                "2J"),
            "\\xc2\\x9b2J");  // C1: CSI in one character
  EXPECT_EQ(escape_for_terminal("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(escape_for_terminal("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(escape_for_terminal("a\xe6\xbc"), "a\\xe6\\xbc");
}

}  // namespace
}  // namespace rung
