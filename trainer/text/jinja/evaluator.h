// Runs a syntax tree: expressions to values, statements to text.
//
// As in jinja2, `and` and `or` return one of their operands, undefined values print as nothing and
// fail when used, macros see the scope they were defined in, and assignments inside a loop, macro
// or block do not reach out of it (a namespace's attributes do). Throws Failure; line() then tells
// where.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/scope.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

class Evaluator {
 public:
  // `variables` are what the template sees at its start. Their names must outlive the evaluator.
  Evaluator(Runtime& runtime, const std::vector<std::pair<std::string, Value>>& variables);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  void run(const SyntaxTree& tree);

  const std::string& output() const { return output_; }
  // What {% generation %} blocks wrote, as jinja2 with transformers' tracker sees it: each begins
  // where the template's own output ended when the block ran.
  const std::vector<std::pair<size_t, size_t>>& generations() const { return generations_; }
  int line() const { return line_; }  // being evaluated, or where it failed

 private:
  enum class Flow { kNext, kBreak, kContinue };

  // Statements
  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow execute_if(const IfStatement& statement);
  Flow execute_for(const ForStatement& statement);
  Flow execute_set_block(const SetBlockStatement& statement);
  Flow execute_filter_block(const FilterBlockStatement& statement);
  Flow execute_with(const WithStatement& statement);
  void execute_macro(const MacroStatement& statement);
  void execute_call_block(const CallBlockStatement& statement);
  void execute_generation(const GenerationStatement& statement);

  void run_loop(const ForStatement& statement, const Value& items, size_t depth);
  Values loop_items(const ForStatement& statement, const Value& items);
  Value recurse_into(const ForStatement& statement, const std::shared_ptr<Scope>& scope,
                     const Value& items, size_t depth);
  void write(std::string_view text);
  void assign(const Target& target, const Value& value);
  void assign_items(const Target& target, const Value& value);

  // Macros
  Value make_macro(const std::shared_ptr<const MacroBody>& macro);
  Value call_macro(const MacroBody& macro, const std::shared_ptr<Scope>& defined_in,
                   const Arguments& arguments);
  void bind_parameters(const MacroBody& macro, const Arguments& arguments);
  void bind_extras(const MacroBody& macro, const Arguments& arguments);

  // Expressions
  Value evaluate(const Expression& expression);
  Value evaluate_node(const LiteralNode& node);
  Value evaluate_node(const NameNode& node);
  Value evaluate_node(const SequenceNode& node);
  Value evaluate_node(const DictNode& node);
  Value evaluate_node(const UnaryNode& node);
  Value evaluate_node(const BinaryNode& node);
  Value evaluate_node(const ConcatNode& node);
  Value evaluate_node(const CompareNode& node);
  Value evaluate_node(const ConditionalNode& node);
  Value evaluate_node(const AttributeNode& node);
  Value evaluate_node(const ItemNode& node);
  Value evaluate_node(const SliceNode& node);
  Value evaluate_node(const CallNode& node);
  Value evaluate_node(const FilterNode& node);
  Value evaluate_node(const TestNode& node);
  Arguments evaluate_arguments(const CallArguments& arguments);
  Value call(const Value& callee, const Arguments& arguments);
  Value apply_filters(const ExpressionPtr& filter, std::string text);

  // A scope inside the current one, for the lifetime of the guard.
  class InnerScope;
  // Output goes to a text of its own, for the lifetime of the guard.
  class Capture;
  // The current scope is another one, for the lifetime of the guard.
  class ScopeSwitch;

  Runtime& runtime_;
  std::string output_;
  std::string* sink_ = &output_;
  std::vector<std::pair<size_t, size_t>> generations_;
  std::shared_ptr<Scope> scope_;
  // Scopes that macros hold on to. A macro stored in its own scope makes a circle, so all are
  // emptied at the end.
  std::vector<std::shared_ptr<Scope>> kept_scopes_;
  const Value* filter_input_ = nullptr;  // what a filter without an input is applied to
  int line_ = 1;
};

}  // namespace rung::text::jinja
