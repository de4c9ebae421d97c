#include "text/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "text/jinja/literal.h"
#include "text/jinja/unicode.h"

namespace rung::text::jinja {
namespace {

constexpr std::array<std::string_view, 26> kOperators = {
    // longest first
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

// Only \n ends a line from here on, and one newline at the end is dropped.
std::string normalize_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

enum class TagKind { kOutput, kBlock, kComment };

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (position_ < source_.size()) lex_text_and_tag();
    add(TokenKind::kEnd, "end of template");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(position_); }
  bool at(std::string_view text) const { return rest().substr(0, text.size()) == text; }

  void add(TokenKind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), {}, line_});
  }

  // Moves past `end`, counting lines; remembers whether a new line starts there.
  void advance_to(size_t end) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(position_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    if (end > position_) line_starting_ = source_[end - 1] == '\n';
    position_ = end;
  }

  size_t skip_space(size_t from) const {
    while (from < source_.size()) {
      size_t after = from;
      if (!is_space(next_code_point(source_, after))) break;
      from = after;
    }
    return from;
  }

  // Emits source[position, end) as text, stripped as the tag that follows asks.
  void add_text(size_t end, char sign, TagKind tag) {
    std::string_view text = std::string_view(source_).substr(position_, end - position_);
    if (sign == '-') {
      text = strip(text, "", Side::kRight);
    } else if (sign != '+' && tag != TagKind::kOutput) {
      const size_t newline = text.rfind('\n');
      const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line_begin > 0 || line_starting_) &&
          strip(text.substr(line_begin), "", Side::kLeft).empty()) {
        text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) add(TokenKind::kText, std::string(text));
    advance_to(end);
  }

  void lex_text_and_tag() {
    size_t open = position_;
    while (true) {
      open = source_.find('{', open);
      if (open == std::string::npos || open + 1 >= source_.size()) {
        add(TokenKind::kText, std::string(rest()));
        return advance_to(source_.size());
      }
      const char second = source_[open + 1];
      if (second == '{' || second == '%' || second == '#') break;
      ++open;
    }
    const char second = source_[open + 1];
    const char next = open + 2 < source_.size() ? source_[open + 2] : '\0';
    const char sign = next == '-' || next == '+' ? next : '\0';
    const size_t inside = open + 2 + (sign == '\0' ? 0 : 1);
    const TagKind tag = second == '{'   ? TagKind::kOutput
                        : second == '%' ? TagKind::kBlock
                                        : TagKind::kComment;
    add_text(open, sign, tag);
    if (tag == TagKind::kComment) return lex_comment(inside);
    if (tag == TagKind::kBlock) {
      if (const size_t raw = raw_tag_end(inside, "raw"); raw != std::string::npos)
        return lex_raw(raw);
    }
    add(tag == TagKind::kOutput ? TokenKind::kOutputBegin : TokenKind::kBlockBegin,
        source_.substr(open, 2));
    advance_to(inside);
    lex_tag(tag);
  }

  void lex_comment(size_t inside) {
    const size_t close = source_.find("#}", inside);
    if (close == std::string::npos) throw SyntaxFailure("Missing end of comment tag", line_);
    const char sign = close > inside ? source_[close - 1] : '\0';
    advance_to(end_of_tag(close + 2, sign));
  }

  // Where text goes on after a closing bracket that ends at `end`.
  size_t end_of_tag(size_t end, char sign) const {
    if (sign == '-') return skip_space(end);
    return sign != '+' && end < source_.size() && source_[end] == '\n' ? end + 1 : end;
  }

  // Past `name %}` with its white space control, if that is what stands at `from`; else npos.
  size_t raw_tag_end(size_t from, std::string_view name) const {
    from = skip_space(from);
    if (source_.compare(from, name.size(), name) != 0) return std::string::npos;
    from = skip_space(from + name.size());
    const bool sign = from < source_.size() && (source_[from] == '-' || source_[from] == '+');
    if (name == "raw" && sign && source_[from] == '+') return std::string::npos;
    if (source_.compare(from + (sign ? 1 : 0), 2, "%}") != 0) return std::string::npos;
    const size_t end = from + (sign ? 3 : 2);
    // jinja2 does not trim the newline after {% raw %}, only after {% endraw %}.
    if (name == "raw") return sign ? skip_space(end) : end;
    return end_of_tag(end, sign ? source_[from] : '\0');
  }

  void lex_raw(size_t body) {
    advance_to(body);
    for (size_t open = source_.find("{%", body); open != std::string::npos;
         open = source_.find("{%", open + 2)) {
      const char next = open + 2 < source_.size() ? source_[open + 2] : '\0';
      const char sign = next == '-' || next == '+' ? next : '\0';
      const size_t end = raw_tag_end(open + 2 + (sign == '\0' ? 0 : 1), "endraw");
      if (end == std::string::npos) continue;
      add_text(open, sign, TagKind::kBlock);
      return advance_to(end);
    }
    throw SyntaxFailure("Missing end of raw directive", line_);
  }

  // The end of the closing bracket if one stands here, else npos.
  size_t closing_bracket(TagKind tag) const {
    if (tag == TagKind::kOutput) {
      if (at("-}}")) return skip_space(position_ + 3);
      return at("}}") ? position_ + 2 : std::string::npos;
    }
    if (at("-%}") || at("+%}")) return end_of_tag(position_ + 3, source_[position_]);
    return at("%}") ? end_of_tag(position_ + 2, '\0') : std::string::npos;
  }

  void lex_tag(TagKind tag) {
    std::string open_brackets;
    while (position_ < source_.size()) {
      if (open_brackets.empty()) {
        if (const size_t end = closing_bracket(tag); end != std::string::npos) {
          add(tag == TagKind::kOutput ? TokenKind::kOutputEnd : TokenKind::kBlockEnd,
              tag == TagKind::kOutput ? "}}" : "%}");
          return advance_to(end);
        }
      }
      if (const size_t end = skip_space(position_); end != position_) {
        advance_to(end);
        continue;
      }
      lex_token(open_brackets);
    }
  }

  void lex_token(std::string& open_brackets) {
    const char c = source_[position_];
    if (c >= '0' && c <= '9') return lex_number();
    if (c == '\'' || c == '"') return lex_string(c);
    size_t end = position_;
    while (end < source_.size()) {
      size_t after = end;
      if (!is_identifier(next_code_point(source_, after))) break;
      end = after;
    }
    if (end != position_) {
      add(TokenKind::kName, source_.substr(position_, end - position_));
      return advance_to(end);
    }
    lex_operator(open_brackets);
  }

  void lex_number() {
    // In `a.1.2` the second dot does not belong to a number.
    const bool after_dot = position_ > 0 && source_[position_ - 1] == '.';
    const NumberLiteral literal = read_number(rest(), after_dot);
    if (literal.length == 0) throw SyntaxFailure("a number is too large", line_);
    tokens_.push_back(
        {TokenKind::kNumber, std::string(rest().substr(0, literal.length)), literal.value, line_});
    advance_to(position_ + literal.length);
  }

  void lex_string(char quote) {
    size_t end = position_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size())
      throw SyntaxFailure(fmt::format("unexpected char {}: a string is not closed", quote), line_);
    const std::string_view body =
        std::string_view(source_).substr(position_ + 1, end - position_ - 1);
    try {
      add(TokenKind::kString, decode_escapes(body));
    } catch (const Failure& failure) {
      throw SyntaxFailure(failure.what(), line_);
    }
    advance_to(end + 1);
  }

  void lex_operator(std::string& open_brackets) {
    const auto found =
        std::find_if(kOperators.begin(), kOperators.end(), [&](auto op) { return at(op); });
    if (found == kOperators.end()) {
      size_t after = position_;
      next_code_point(source_, after);
      throw SyntaxFailure(
          fmt::format("unexpected char '{}'", source_.substr(position_, after - position_)), line_);
    }
    balance(*found, open_brackets);
    add(TokenKind::kOperator, std::string(*found));
    advance_to(position_ + found->size());
  }

  void balance(std::string_view op, std::string& open_brackets) const {
    constexpr std::string_view kOpen = "([{";
    constexpr std::string_view kClose = ")]}";
    if (op.size() != 1) return;
    if (const size_t open = kOpen.find(op[0]); open != std::string_view::npos) {
      open_brackets += kClose[open];
    } else if (kClose.find(op[0]) != std::string_view::npos) {
      if (open_brackets.empty()) throw SyntaxFailure(fmt::format("unexpected '{}'", op), line_);
      if (open_brackets.back() != op[0]) {
        throw SyntaxFailure(fmt::format("unexpected '{}', expected '{}'", op, open_brackets.back()),
                            line_);
      }
      open_brackets.pop_back();
    }
  }

  std::string source_;
  size_t position_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the text that comes next begins a line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace rung::text::jinja
