// Expressions of the template language, by recursive descent.
//
// From loosest to tightest: a if b else c; or; and; not; == != < > <= >= in; + -; ~; * / // %; **;
// unary + -; then .name [item] (call), |filter and `is test`. As in jinja2, ** binds to the left
// and unary minus before it, and filters bind tighter than any operator but unary minus.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/token_stream.h"

namespace rung::text::jinja {

enum class Conditionals { kAllowed, kNotAllowed };  // a if b else c

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExpressionPtr parse(Conditionals conditionals = Conditionals::kAllowed);
  // An expression, or several with commas as a tuple; ends before `end_name` too, if given.
  ExpressionPtr parse_tuple(Conditionals conditionals, std::string_view end_name = {});
  // What stands after {% filter: `name(arguments) | name ...`, applied to the text of a block.
  ExpressionPtr parse_filter_chain();
  // The `| name ...` after {% set x; null where there is none.
  ExpressionPtr parse_optional_filters();

  // Names that were read since, in order; macros look up what their bodies use.
  const std::vector<std::string>& names_read() const { return names_read_; }

 private:
  class Nesting;

  ExpressionPtr parse_conditional();
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_compare();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concat();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary();
  ExpressionPtr parse_unary_operand();
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_string();
  ExpressionPtr parse_parentheses();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr object);
  ExpressionPtr parse_filters_and_tests(ExpressionPtr input);
  ExpressionPtr parse_filter(ExpressionPtr input);
  ExpressionPtr parse_test(ExpressionPtr input);
  ExpressionPtr parse_subscript(ExpressionPtr object);
  ExpressionPtr parse_subscript_index();
  ExpressionPtr parse_slice_part();
  ExpressionPtr parse_call(ExpressionPtr callee);
  CallArguments parse_arguments();
  void parse_argument(CallArguments& arguments, int line);
  std::string parse_dotted_name();
  ExpressionPtr parse_left_to_right(
      ExpressionPtr (ExpressionParser::*operand)(),
      std::initializer_list<std::pair<std::string_view, BinaryOperator>> operators);

  ExpressionPtr make(int line, Expression::Node node);

  TokenStream& tokens_;
  std::vector<std::string> names_read_;
  size_t nesting_ = 0;
};

}  // namespace rung::text::jinja
