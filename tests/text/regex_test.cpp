#include "text/regex.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/expect_error.h"

namespace rung::text {
namespace {

std::vector<std::string> matches_of(const std::string& pattern, const std::string& text) {
  std::vector<std::string> matches;
  for (const Match& match : Regex(pattern, "here").find_all(text)) {
    matches.push_back(text.substr(match.begin, match.end - match.begin));
  }
  return matches;
}

using Strings = std::vector<std::string>;

TEST(Regex, ClassesAreUnicode) {
  EXPECT_EQ(matches_of(R"(\p{L}+)", "caf\u00e9 1 \u4f60\u597d"),
            (Strings{"caf\u00e9", "\u4f60\u597d"}));
}

TEST(Regex, LookaheadSeesTheTextBehind) {
  EXPECT_EQ(matches_of(R"(\s+(?!\S)|\s+)", "a   b "), (Strings{"  ", " ", " "}));
}

TEST(Regex, AnEmptyMatchBehindAMatchDoesNotCount) {
  EXPECT_EQ(matches_of("a*", "baac"), (Strings{"", "aa", ""}));
}

TEST(Regex, ABadPatternIsNamedWithItsPlace) {
  const std::string message = testing::error_of(
      ExitCode::kDamaged, [] { Regex("[z-a]", "tokenizer.json: pre_tokenizer"); });
  EXPECT_NE(message.find("[z-a]"), std::string::npos) << message;
  EXPECT_NE(message.find("tokenizer.json: pre_tokenizer"), std::string::npos) << message;
}

TEST(Regex, EndlessBacktrackingIsStoppedAndThePatternNamed) {
  const Regex regex("(x+x+)+y", "here");
  testing::expect_error(ExitCode::kConfig, "(x+x+)+y",
                        [&] { regex.find_all(std::string(60, 'x')); });
}

TEST(Regex, ALongRunIsWithinTheLimits) {
  const std::string spaces(1 << 20, ' ');
  EXPECT_EQ(matches_of(R"(\s+(?!\S)|\s+)", spaces + "x").front().size(), spaces.size() - 1);
}

}  // namespace
}  // namespace rung::text
