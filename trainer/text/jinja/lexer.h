// Splits a template's source into text, tag brackets and the tokens inside tags.
//
// White space follows jinja2 with trim_blocks and lstrip_blocks: the newline after a block or
// comment tag goes, and so does the blank indentation before one; `-` strips all white space on
// its side, `+` none; one newline at the end of the source goes. {% raw %} is text here already.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/failure.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

enum class TokenKind {
  kText,
  kOutputBegin,  // {{
  kOutputEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,
  kNumber,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // text, name, decoded string or operator
  Value number;      // kNumber
  int line = 0;
};

// A Failure with the line it belongs to.
struct SyntaxFailure : Failure {
  SyntaxFailure(const std::string& message, int line_number)
      : Failure(message), line(line_number) {}
  int line;
};

// The last token is kEnd. `source` must be valid UTF-8.
std::vector<Token> tokenize(std::string_view source);

}  // namespace rung::text::jinja
