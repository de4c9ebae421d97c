// The tokens of a template, with the look-ahead the parser needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/lexer.h"

namespace rung::text::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[position_]; }
  const Token& ahead() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }

  Token take() {
    Token token = current();
    if (position_ + 1 < tokens_.size()) ++position_;
    return token;
  }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_name(std::string_view name) const { return matches(current(), TokenKind::kName, name); }
  bool is_operator(std::string_view op) const {
    return matches(current(), TokenKind::kOperator, op);
  }
  static bool matches(const Token& token, TokenKind kind, std::string_view text) {
    return token.kind == kind && token.text == text;
  }

  bool take_name(std::string_view name) { return is_name(name) && (take(), true); }
  bool take_operator(std::string_view op) { return is_operator(op) && (take(), true); }

  Token expect(TokenKind kind, std::string_view description) {
    if (!is(kind)) fail_expected(description);
    return take();
  }
  void expect_name(std::string_view name) {
    if (!take_name(name)) fail_expected(name);
  }
  void expect_operator(std::string_view op) {
    if (!take_operator(op)) fail_expected(op);
  }

  [[noreturn]] void fail_expected(std::string_view description) const {
    throw SyntaxFailure("expected " + std::string(description) + ", got '" + current().text + "'",
                        line());
  }

 private:
  std::vector<Token> tokens_;
  size_t position_ = 0;
};

}  // namespace rung::text::jinja
