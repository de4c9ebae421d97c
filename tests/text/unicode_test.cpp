#include "text/unicode.h"

#include <gtest/gtest.h>

#include <string>

namespace rung::text {
namespace {

TEST(Unicode, EncodingAndDecodingAreInverse) {
  for (const char32_t c : {0x0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff}) {
    const std::string text = to_utf8(c) + "z";
    EXPECT_EQ(code_point_at(text, 0).value, c);
    EXPECT_EQ(code_point_at(text, 0).length, text.size() - 1);
    EXPECT_EQ(code_point_before(text, text.size() - 1).value, c);
  }
}

TEST(Unicode, InvalidUtf8IsFoundAtItsFirstByte) {
  EXPECT_EQ(find_invalid_utf8("a\u00e9\u4f60\U0001f600"), std::nullopt);
  EXPECT_EQ(find_invalid_utf8("ab\x80"), 2u);
  EXPECT_EQ(find_invalid_utf8("a\xc0\x80"), 1u);          // overlong
  EXPECT_EQ(find_invalid_utf8("a\xed\xa0\x80"), 1u);      // surrogate
  EXPECT_EQ(find_invalid_utf8("a\xf4\x90\x80\x80"), 1u);  // above U+10FFFF
  EXPECT_EQ(find_invalid_utf8("a\xe4\xbd"), 1u);          // cut off
}

TEST(Unicode, EachMaximalBadPartBecomesOneReplacement) {
  // The example of the Unicode Standard, section 3.9.
  EXPECT_EQ(replace_invalid_utf8("\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64"),
            "a\ufffd\ufffd\ufffdb\ufffdc\ufffd\ufffdd");
}

TEST(Unicode, ClassesCoverMoreThanAscii) {
  EXPECT_TRUE(is_numeric(0x00bd) && is_numeric(0x2167) && is_numeric(0x0664));
  EXPECT_FALSE(is_numeric('a') || is_numeric(0x4e00));
  EXPECT_TRUE(is_white_space(0x3000) && is_white_space(0x85) && !is_white_space(0x200b));
  EXPECT_TRUE(is_punctuation('$') && is_punctuation(0x2026) && !is_punctuation(0x20ac));
  EXPECT_TRUE(is_word('_') && is_word(0x0301) && is_word(0x4e2d) && !is_word('-'));
}

TEST(Unicode, LoweringMayMakeTwoCharacters) {
  EXPECT_EQ(to_lower(0x130), (std::u32string{U'i', 0x307}));
  EXPECT_EQ(to_lower(0x416), (std::u32string{0x436}));
}

}  // namespace
}  // namespace rung::text
