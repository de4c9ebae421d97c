#include "text/jinja/expression_parser.h"

#include <fmt/format.h>

#include <optional>

#include "text/jinja/expression_depth.h"

namespace rung::text::jinja {
namespace {

// Expressions inside expressions. Each level costs a dozen stack frames here; the deepest real
// template has about ten.
constexpr size_t kMaxNesting = 100;
// Levels of one expression tree, chains like a + b + c + ... included.
constexpr size_t kMaxDepth = 400;

std::optional<CompareOperator> compare_operator(const Token& token) {
  constexpr std::pair<std::string_view, CompareOperator> kOperators[] = {
      {"==", CompareOperator::kEqual},  {"!=", CompareOperator::kNotEqual},
      {"<", CompareOperator::kLess},    {"<=", CompareOperator::kLessEqual},
      {">", CompareOperator::kGreater}, {">=", CompareOperator::kGreaterEqual},
  };
  for (const auto& [text, op] : kOperators) {
    if (TokenStream::matches(token, TokenKind::kOperator, text)) return op;
  }
  return std::nullopt;
}

}  // namespace

// One level of expressions inside expressions, for its lifetime.
class ExpressionParser::Nesting {
 public:
  explicit Nesting(ExpressionParser& parser) : parser_(parser) {
    if (++parser.nesting_ > kMaxNesting) {
      --parser.nesting_;
      throw SyntaxFailure(fmt::format("expressions nest more than {} levels deep", kMaxNesting),
                          parser.tokens_.line());
    }
  }
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  ExpressionParser& parser_;
};

ExpressionPtr ExpressionParser::make(int line, Expression::Node node) {
  const size_t depth = depth_with_children(node);
  if (depth > kMaxDepth)
    throw SyntaxFailure(fmt::format("an expression is more than {} levels deep", kMaxDepth), line);
  return std::make_unique<Expression>(Expression{std::move(node), line, depth});
}

ExpressionPtr ExpressionParser::parse(Conditionals conditionals) {
  const Nesting level(*this);
  return conditionals == Conditionals::kAllowed ? parse_conditional() : parse_or();
}

ExpressionPtr ExpressionParser::parse_conditional() {
  int line = tokens_.line();
  ExpressionPtr value = parse_or();
  while (tokens_.take_name("if")) {
    ExpressionPtr condition = parse_or();
    ExpressionPtr otherwise;
    if (tokens_.take_name("else")) {
      const Nesting level(*this);
      otherwise = parse_conditional();
    }
    value =
        make(line, ConditionalNode{std::move(condition), std::move(value), std::move(otherwise)});
    line = tokens_.line();
  }
  return value;
}

ExpressionPtr ExpressionParser::parse_or() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_and();
  while (tokens_.take_name("or"))
    left = make(line, BinaryNode{BinaryOperator::kOr, std::move(left), parse_and()});
  return left;
}

ExpressionPtr ExpressionParser::parse_and() {
  const int line = tokens_.line();
  ExpressionPtr left = parse_not();
  while (tokens_.take_name("and"))
    left = make(line, BinaryNode{BinaryOperator::kAnd, std::move(left), parse_not()});
  return left;
}

ExpressionPtr ExpressionParser::parse_not() {
  const int line = tokens_.line();
  if (!tokens_.take_name("not")) return parse_compare();
  const Nesting level(*this);
  return make(line, UnaryNode{UnaryOperator::kNot, parse_not()});
}

ExpressionPtr ExpressionParser::parse_compare() {
  const int line = tokens_.line();
  CompareNode node;
  node.first = parse_sum();
  while (true) {
    if (const auto op = compare_operator(tokens_.current())) {
      tokens_.take();
      node.rest.emplace_back(*op, parse_sum());
    } else if (tokens_.take_name("in")) {
      node.rest.emplace_back(CompareOperator::kIn, parse_sum());
    } else if (tokens_.is_name("not") &&
               TokenStream::matches(tokens_.ahead(), TokenKind::kName, "in")) {
      tokens_.take();
      tokens_.take();
      node.rest.emplace_back(CompareOperator::kNotIn, parse_sum());
    } else {
      break;
    }
  }
  if (node.rest.empty()) return std::move(node.first);
  return make(line, std::move(node));
}

ExpressionPtr ExpressionParser::parse_left_to_right(
    ExpressionPtr (ExpressionParser::*operand)(),
    std::initializer_list<std::pair<std::string_view, BinaryOperator>> operators) {
  ExpressionPtr left = (this->*operand)();
  while (true) {
    const int line = tokens_.line();
    std::optional<BinaryOperator> found;
    for (const auto& [text, op] : operators) {
      if (!found && tokens_.take_operator(text)) found = op;
    }
    if (!found) return left;
    ExpressionPtr right = (this->*operand)();
    left = make(line, BinaryNode{*found, std::move(left), std::move(right)});
  }
}

ExpressionPtr ExpressionParser::parse_sum() {
  return parse_left_to_right(&ExpressionParser::parse_concat,
                             {{"+", BinaryOperator::kAdd}, {"-", BinaryOperator::kSubtract}});
}

ExpressionPtr ExpressionParser::parse_concat() {
  const int line = tokens_.line();
  ConcatNode node;
  node.parts.push_back(parse_product());
  while (tokens_.take_operator("~")) node.parts.push_back(parse_product());
  if (node.parts.size() == 1) return std::move(node.parts.front());
  return make(line, std::move(node));
}

ExpressionPtr ExpressionParser::parse_product() {
  return parse_left_to_right(&ExpressionParser::parse_power, {{"*", BinaryOperator::kMultiply},
                                                              {"/", BinaryOperator::kDivide},
                                                              {"//", BinaryOperator::kFloorDivide},
                                                              {"%", BinaryOperator::kModulo}});
}

ExpressionPtr ExpressionParser::parse_power() {
  return parse_left_to_right(&ExpressionParser::parse_unary, {{"**", BinaryOperator::kPower}});
}

ExpressionPtr ExpressionParser::parse_unary() {
  return parse_filters_and_tests(parse_unary_operand());
}

ExpressionPtr ExpressionParser::parse_unary_operand() {
  const int line = tokens_.line();
  if (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const UnaryOperator op =
        tokens_.take().text == "-" ? UnaryOperator::kNegative : UnaryOperator::kPositive;
    const Nesting level(*this);
    return parse_postfix(make(line, UnaryNode{op, parse_unary_operand()}));
  }
  return parse_postfix(parse_primary());
}

ExpressionPtr ExpressionParser::parse_primary() {
  switch (tokens_.current().kind) {
    case TokenKind::kName:
      return parse_name();
    case TokenKind::kString:
      return parse_string();
    case TokenKind::kNumber: {
      const Token token = tokens_.take();
      return make(token.line, LiteralNode{token.number});
    }
    default:
      break;
  }
  if (tokens_.is_operator("(")) return parse_parentheses();
  if (tokens_.is_operator("[")) return parse_list();
  if (tokens_.is_operator("{")) return parse_dict();
  throw SyntaxFailure(fmt::format("unexpected '{}'", tokens_.current().text), tokens_.line());
}

ExpressionPtr ExpressionParser::parse_name() {
  const Token token = tokens_.take();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return make(token.line, LiteralNode{Value::boolean(true)});
  if (name == "false" || name == "False")
    return make(token.line, LiteralNode{Value::boolean(false)});
  if (name == "none" || name == "None") return make(token.line, LiteralNode{Value()});
  names_read_.push_back(name);
  return make(token.line, NameNode{name});
}

ExpressionPtr ExpressionParser::parse_string() {
  const int line = tokens_.line();
  std::string text;
  while (tokens_.is(TokenKind::kString)) text += tokens_.take().text;
  return make(line, LiteralNode{Value::text(std::move(text))});
}

ExpressionPtr ExpressionParser::parse_parentheses() {
  const int line = tokens_.line();
  tokens_.expect_operator("(");
  if (tokens_.take_operator(")")) return make(line, SequenceNode{SequenceKind::kTuple, {}});
  ExpressionPtr inner = parse_tuple(Conditionals::kAllowed);
  tokens_.expect_operator(")");
  return inner;
}

ExpressionPtr ExpressionParser::parse_list() {
  const int line = tokens_.line();
  tokens_.expect_operator("[");
  SequenceNode node{SequenceKind::kList, {}};
  while (!tokens_.is_operator("]")) {
    if (!node.items.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator("]")) break;
    node.items.push_back(parse());
  }
  tokens_.expect_operator("]");
  return make(line, std::move(node));
}

ExpressionPtr ExpressionParser::parse_dict() {
  const int line = tokens_.line();
  tokens_.expect_operator("{");
  DictNode node;
  while (!tokens_.is_operator("}")) {
    if (!node.entries.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator("}")) break;
    ExpressionPtr key = parse();
    tokens_.expect_operator(":");
    node.entries.emplace_back(std::move(key), parse());
  }
  tokens_.expect_operator("}");
  return make(line, std::move(node));
}

ExpressionPtr ExpressionParser::parse_tuple(Conditionals conditionals, std::string_view end_name) {
  const int line = tokens_.line();
  const auto at_end = [&] {
    return tokens_.is(TokenKind::kOutputEnd) || tokens_.is(TokenKind::kBlockEnd) ||
           tokens_.is_operator(")") || (!end_name.empty() && tokens_.is_name(end_name));
  };
  if (at_end()) tokens_.fail_expected("an expression");
  ExpressionPtr first = parse(conditionals);
  if (!tokens_.is_operator(",")) return first;
  SequenceNode node{SequenceKind::kTuple, {}};
  node.items.push_back(std::move(first));
  while (tokens_.take_operator(",") && !at_end()) node.items.push_back(parse(conditionals));
  return make(line, std::move(node));
}

}  // namespace rung::text::jinja
