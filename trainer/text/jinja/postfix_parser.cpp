// The part of ExpressionParser behind an operand: .name, [item], (call), |filter, `is test`.

#include <fmt/format.h>

#include "text/jinja/expression_parser.h"

namespace rung::text::jinja {

ExpressionPtr ExpressionParser::parse_postfix(ExpressionPtr object) {
  while (true) {
    if (tokens_.is_operator(".") || tokens_.is_operator("[")) {
      object = parse_subscript(std::move(object));
    } else if (tokens_.is_operator("(")) {
      object = parse_call(std::move(object));
    } else {
      return object;
    }
  }
}

ExpressionPtr ExpressionParser::parse_filters_and_tests(ExpressionPtr input) {
  while (true) {
    if (tokens_.is_operator("|")) {
      tokens_.take();
      input = parse_filter(std::move(input));
    } else if (tokens_.is_name("is")) {
      input = parse_test(std::move(input));
    } else if (tokens_.is_operator("(")) {
      input = parse_call(std::move(input));
    } else {
      return input;
    }
  }
}

ExpressionPtr ExpressionParser::parse_filter_chain() {
  ExpressionPtr filter = parse_filter(nullptr);
  while (tokens_.take_operator("|")) filter = parse_filter(std::move(filter));
  return filter;
}

ExpressionPtr ExpressionParser::parse_optional_filters() {
  return tokens_.take_operator("|") ? parse_filter_chain() : nullptr;
}

std::string ExpressionParser::parse_dotted_name() {
  std::string name = tokens_.expect(TokenKind::kName, "a name").text;
  while (tokens_.take_operator(".")) name += "." + tokens_.expect(TokenKind::kName, "a name").text;
  return name;
}

ExpressionPtr ExpressionParser::parse_filter(ExpressionPtr input) {
  const int line = tokens_.line();
  FilterNode node{std::move(input), parse_dotted_name(), {}};
  if (tokens_.is_operator("(")) node.arguments = parse_arguments();
  return make(line, std::move(node));
}

// `x is divisibleby 3` needs no parentheses, so an operand after the name is the argument.
ExpressionPtr ExpressionParser::parse_test(ExpressionPtr input) {
  const int line = tokens_.take().line;
  const bool negated = tokens_.take_name("not");
  TestNode node{std::move(input), parse_dotted_name(), {}};
  const bool operand_follows = tokens_.is(TokenKind::kString) || tokens_.is(TokenKind::kNumber) ||
                               tokens_.is_operator("[") || tokens_.is_operator("{") ||
                               (tokens_.is(TokenKind::kName) && !tokens_.is_name("else") &&
                                !tokens_.is_name("or") && !tokens_.is_name("and"));
  if (tokens_.is_operator("(")) {
    node.arguments = parse_arguments();
  } else if (operand_follows) {
    if (tokens_.is_name("is"))
      throw SyntaxFailure("You cannot chain multiple tests with is", tokens_.line());
    node.arguments.positional.push_back(parse_postfix(parse_primary()));
  }
  ExpressionPtr test = make(line, std::move(node));
  return negated ? make(line, UnaryNode{UnaryOperator::kNot, std::move(test)}) : std::move(test);
}

ExpressionPtr ExpressionParser::parse_subscript(ExpressionPtr object) {
  const int line = tokens_.line();
  if (tokens_.take_operator(".")) {
    if (tokens_.is(TokenKind::kName))
      return make(line, AttributeNode{std::move(object), tokens_.take().text});
    if (!tokens_.is(TokenKind::kNumber) || !tokens_.current().number.is_int())
      throw SyntaxFailure("expected name or number", tokens_.line());
    ExpressionPtr index = make(line, LiteralNode{tokens_.take().number});
    return make(line, ItemNode{std::move(object), std::move(index)});
  }
  tokens_.expect_operator("[");
  std::vector<ExpressionPtr> parts;
  while (!tokens_.is_operator("]")) {
    if (!parts.empty()) tokens_.expect_operator(",");
    parts.push_back(parse_subscript_index());
  }
  tokens_.expect_operator("]");
  ExpressionPtr index = parts.size() == 1
                            ? std::move(parts.front())
                            : make(line, SequenceNode{SequenceKind::kTuple, std::move(parts)});
  return make(line, ItemNode{std::move(object), std::move(index)});
}

ExpressionPtr ExpressionParser::parse_subscript_index() {
  const int line = tokens_.line();
  ExpressionPtr start;
  if (!tokens_.is_operator(":")) {
    start = parse();
    if (!tokens_.is_operator(":")) return start;
  }
  tokens_.expect_operator(":");
  ExpressionPtr stop = parse_slice_part();
  ExpressionPtr step;
  if (tokens_.take_operator(":")) step = parse_slice_part();
  return make(line, SliceNode{std::move(start), std::move(stop), std::move(step)});
}

ExpressionPtr ExpressionParser::parse_slice_part() {
  const bool absent =
      tokens_.is_operator(":") || tokens_.is_operator("]") || tokens_.is_operator(",");
  return absent ? nullptr : parse();
}

ExpressionPtr ExpressionParser::parse_call(ExpressionPtr callee) {
  const int line = tokens_.line();
  CallArguments arguments = parse_arguments();
  return make(line, CallNode{std::move(callee), std::move(arguments)});
}

CallArguments ExpressionParser::parse_arguments() {
  const int line = tokens_.line();
  tokens_.expect_operator("(");
  CallArguments arguments;
  bool first = true;
  while (!tokens_.is_operator(")")) {
    if (!first) {
      tokens_.expect_operator(",");
      if (tokens_.is_operator(")")) break;
    }
    first = false;
    parse_argument(arguments, line);
  }
  tokens_.expect_operator(")");
  return arguments;
}

void ExpressionParser::parse_argument(CallArguments& arguments, int line) {
  const auto require = [&](bool ordered) {
    if (!ordered) throw SyntaxFailure("invalid syntax for function call expression", line);
  };
  if (tokens_.take_operator("*")) {
    require(!arguments.star && !arguments.double_star);
    arguments.star = parse();
  } else if (tokens_.take_operator("**")) {
    require(!arguments.double_star);
    arguments.double_star = parse();
  } else if (tokens_.is(TokenKind::kName) &&
             TokenStream::matches(tokens_.ahead(), TokenKind::kOperator, "=")) {
    require(!arguments.double_star);
    std::string name = tokens_.take().text;
    tokens_.take();
    for (const auto& [present, value] : arguments.named)
      if (present == name)
        throw SyntaxFailure(fmt::format("keyword argument repeated: {}", name), line);
    arguments.named.emplace_back(std::move(name), parse());
  } else {
    require(!arguments.star && !arguments.double_star && arguments.named.empty());
    arguments.positional.push_back(parse());
  }
}

}  // namespace rung::text::jinja
