// The syntax tree of a template.
//
// Every expression knows its line and the depth of its tree; the parser bounds the latter, so that
// evaluating and destroying a tree cannot overflow the stack.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/value.h"

namespace rung::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class UnaryOperator { kNot, kNegative, kPositive };
enum class BinaryOperator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kAnd,
  kOr
};
enum class CompareOperator {
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn
};

// f(a, b, c=d, *e, **f)
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;         // null where absent
  ExpressionPtr double_star;  // null where absent
};

struct LiteralNode {
  Value value;
};
struct NameNode {
  std::string name;
};
struct SequenceNode {
  SequenceKind kind;  // kList or kTuple
  std::vector<ExpressionPtr> items;
};
struct DictNode {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct UnaryNode {
  UnaryOperator op;
  ExpressionPtr operand;
};
struct BinaryNode {
  BinaryOperator op;
  ExpressionPtr left;
  ExpressionPtr right;
};
// a ~ b ~ c
struct ConcatNode {
  std::vector<ExpressionPtr> parts;
};
// a < b < c
struct CompareNode {
  ExpressionPtr first;
  std::vector<std::pair<CompareOperator, ExpressionPtr>> rest;
};
// a if condition else b
struct ConditionalNode {
  ExpressionPtr condition;
  ExpressionPtr when_true;
  ExpressionPtr when_false;  // null where there is no else
};
struct AttributeNode {
  ExpressionPtr object;
  std::string name;
};
struct ItemNode {
  ExpressionPtr object;
  ExpressionPtr index;
};
// Only as the index of an ItemNode; absent parts are null.
struct SliceNode {
  ExpressionPtr start;
  ExpressionPtr stop;
  ExpressionPtr step;
};
struct CallNode {
  ExpressionPtr callee;
  CallArguments arguments;
};
struct FilterNode {
  ExpressionPtr input;  // null: the text of the enclosing filter or set block
  std::string name;
  CallArguments arguments;
};
struct TestNode {
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
};

struct Expression {
  using Node = std::variant<LiteralNode, NameNode, SequenceNode, DictNode, UnaryNode, BinaryNode,
                            ConcatNode, CompareNode, ConditionalNode, AttributeNode, ItemNode,
                            SliceNode, CallNode, FilterNode, TestNode>;
  Node node;
  int line = 0;
  size_t depth = 1;
};

struct Statement;
using Block = std::vector<Statement>;

// What {% set %} and {% for %} assign to: a name, namespace.attribute, or a tuple of targets.
struct Target {
  std::string name;       // "" for a tuple
  std::string attribute;  // "" unless name.attribute
  std::vector<Target> items;
  int line = 0;
};

// Parameters of a macro or call block; defaults belong to the last ones.
struct Signature {
  std::vector<std::string> names;
  std::vector<ExpressionPtr> defaults;
};

// A macro, or the body of a call block (then without a name).
struct MacroBody {
  std::string name;
  Signature signature;
  Block block;
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct TextStatement {
  std::string text;
};
struct OutputStatement {
  ExpressionPtr value;
};
struct IfStatement {
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  Block otherwise;
};
struct ForStatement {
  Target target;
  ExpressionPtr items;
  ExpressionPtr condition;  // null where absent
  Block body;
  Block otherwise;
  bool recursive = false;
};
struct SetStatement {
  Target target;
  ExpressionPtr value;
};
struct SetBlockStatement {
  Target target;
  ExpressionPtr filter;  // null where absent
  Block body;
};
struct MacroStatement {
  std::shared_ptr<const MacroBody> macro;
};
struct CallBlockStatement {
  ExpressionPtr call;  // a CallNode
  std::shared_ptr<const MacroBody> caller;
};
struct FilterBlockStatement {
  ExpressionPtr filter;
  Block body;
};
struct WithStatement {
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  Block body;
};
// {% generation %}: what the assistant wrote.
struct GenerationStatement {
  Block body;
};
struct BreakStatement {};
struct ContinueStatement {};

struct Statement {
  std::variant<TextStatement, OutputStatement, IfStatement, ForStatement, SetStatement,
               SetBlockStatement, MacroStatement, CallBlockStatement, FilterBlockStatement,
               WithStatement, GenerationStatement, BreakStatement, ContinueStatement>
      node;
  int line = 0;
};

struct SyntaxTree {
  Block body;
  bool has_generation = false;
};

}  // namespace rung::text::jinja
