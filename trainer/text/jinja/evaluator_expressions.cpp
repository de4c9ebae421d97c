// The evaluator's expressions.

#include <fmt/format.h>

#include "text/jinja/builtins.h"
#include "text/jinja/evaluator.h"
#include "text/jinja/failure.h"
#include "text/jinja/lookup.h"
#include "text/jinja/operators.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {

Value Evaluator::evaluate(const Expression& expression) {
  const Runtime::Level level(runtime_);
  const int outer_line = std::exchange(line_, expression.line);
  Value value = std::visit([&](const auto& node) { return evaluate_node(node); }, expression.node);
  line_ = outer_line;  // not reached by a Failure, which leaves the line it happened in
  return value;
}

Value Evaluator::evaluate_node(const LiteralNode& node) { return node.value; }

Value Evaluator::evaluate_node(const NameNode& node) {
  if (const Value* value = scope_->find(node.name)) return *value;
  if (const auto global = find_global(node.name)) return *global;
  return Value::undefined(fmt::format("'{}' is undefined", node.name));
}

Value Evaluator::evaluate_node(const SequenceNode& node) {
  Values items;
  items.reserve(node.items.size());
  for (const ExpressionPtr& item : node.items) items.push_back(evaluate(*item));
  return Value::sequence(node.kind, std::move(items));
}

Value Evaluator::evaluate_node(const DictNode& node) {
  std::vector<std::pair<Value, Value>> entries;
  entries.reserve(node.entries.size());
  for (const auto& [key, value] : node.entries) {
    Value key_value = evaluate(*key);
    entries.emplace_back(std::move(key_value), evaluate(*value));
  }
  runtime_.charge(entries.size() * entries.size() / 64);  // every key is compared with all
  return Value::dict(std::move(entries));
}

Value Evaluator::evaluate_node(const UnaryNode& node) {
  return apply_unary(node.op, evaluate(*node.operand));
}

Value Evaluator::evaluate_node(const BinaryNode& node) {
  Value left = evaluate(*node.left);
  if (node.op == BinaryOperator::kAnd) return left.truthy() ? evaluate(*node.right) : left;
  if (node.op == BinaryOperator::kOr) return left.truthy() ? left : evaluate(*node.right);
  return apply_binary(runtime_, node.op, left, evaluate(*node.right));
}

Value Evaluator::evaluate_node(const ConcatNode& node) {
  std::string text;
  for (const ExpressionPtr& part : node.parts) {
    text += to_text(runtime_, evaluate(*part));
    if (text.size() > runtime_.limits().max_text) runtime_.charge_text(text.size());
  }
  return Value::text(std::move(text));
}

Value Evaluator::evaluate_node(const CompareNode& node) {
  Value left = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) {
    Value right = evaluate(*operand);
    if (!apply_compare(runtime_, op, left, right)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Evaluator::evaluate_node(const ConditionalNode& node) {
  if (evaluate(*node.condition).truthy()) return evaluate(*node.when_true);
  if (node.when_false) return evaluate(*node.when_false);
  return Value::undefined(
      fmt::format("the inline if-expression on line {} evaluated to false and no else section was "
                  "defined.",
                  line_));
}

Value Evaluator::evaluate_node(const AttributeNode& node) {
  return get_attribute(runtime_, evaluate(*node.object), node.name);
}

Value Evaluator::evaluate_node(const ItemNode& node) {
  const Value object = evaluate(*node.object);
  const auto* slice_node = std::get_if<SliceNode>(&node.index->node);
  if (slice_node == nullptr) return get_item(runtime_, object, evaluate(*node.index));
  const auto bound = [&](const ExpressionPtr& part) -> std::optional<int64_t> {
    if (!part) return std::nullopt;
    const Value value = evaluate(*part);
    if (value.is_none()) return std::nullopt;
    value.require_defined();
    if (!value.is_integral())
      throw Failure("slice indices must be integers or None or have an __index__ method");
    return value.as_integral();
  };
  Slice range;
  range.start = bound(slice_node->start);
  range.stop = bound(slice_node->stop);
  range.step = bound(slice_node->step);
  return slice(runtime_, object, range);
}

Value Evaluator::evaluate_node(const SliceNode&) {
  throw Failure("slices of more than one dimension are not supported");
}

Value Evaluator::evaluate_node(const CallNode& node) {
  const Value callee = evaluate(*node.callee);
  return call(callee, evaluate_arguments(node.arguments));
}

Value Evaluator::evaluate_node(const FilterNode& node) {
  const FilterFunction filter = find_filter(node.name);
  const Value input = node.input ? evaluate(*node.input) : *filter_input_;
  return filter(runtime_, input, evaluate_arguments(node.arguments));
}

Value Evaluator::evaluate_node(const TestNode& node) {
  const TestFunction test = find_test(node.name);
  const Value input = evaluate(*node.input);
  return Value::boolean(test(runtime_, input, evaluate_arguments(node.arguments)));
}

Arguments Evaluator::evaluate_arguments(const CallArguments& arguments) {
  Arguments values;
  values.positional.reserve(arguments.positional.size());
  for (const ExpressionPtr& argument : arguments.positional)
    values.positional.push_back(evaluate(*argument));
  for (const auto& [name, argument] : arguments.named)
    values.named.emplace_back(name, evaluate(*argument));
  if (arguments.star) {
    const Value more = evaluate(*arguments.star);
    more.require_defined();
    for (Value& item : iterate(runtime_, more)) values.positional.push_back(std::move(item));
  }
  if (arguments.double_star) {
    const Value more = evaluate(*arguments.double_star);
    more.require_defined();
    if (!more.is_dict()) throw Failure("argument after ** must be a mapping");
    for (const auto& [name, value] : more.as_dict().entries) {
      if (!name.is_text()) throw Failure("keywords must be strings");
      values.named.emplace_back(name.bytes(), value);
    }
  }
  return values;
}

Value Evaluator::call(const Value& callee, const Arguments& arguments) {
  callee.require_defined();
  if (callee.is_loop()) {
    const std::shared_ptr<Loop>& loop = callee.as_loop();
    if (!loop->recurse) {
      throw Failure("The loop must have the 'recursive' marker to be called recursively.");
    }
    if (arguments.positional.size() != 1) throw Failure("loop() takes exactly one argument");
    return loop->recurse(runtime_, arguments.positional[0]);
  }
  if (!callee.is_function())
    throw Failure(fmt::format("'{}' object is not callable", callee.type_name()));
  return callee.as_function().call(runtime_, arguments);
}

}  // namespace rung::text::jinja
