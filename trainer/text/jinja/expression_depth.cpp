#include "text/jinja/expression_depth.h"

#include <algorithm>

namespace rung::text::jinja {
namespace {

size_t depth_of(const ExpressionPtr& expression) { return expression ? expression->depth : 0; }

size_t depth_of(const std::vector<ExpressionPtr>& expressions) {
  size_t depth = 0;
  for (const ExpressionPtr& expression : expressions) depth = std::max(depth, depth_of(expression));
  return depth;
}

size_t depth_of(const CallArguments& arguments) {
  size_t depth = std::max(
      {depth_of(arguments.positional), depth_of(arguments.star), depth_of(arguments.double_star)});
  for (const auto& [name, value] : arguments.named) depth = std::max(depth, depth_of(value));
  return depth;
}

struct ChildDepth {
  size_t operator()(const LiteralNode&) const { return 0; }
  size_t operator()(const NameNode&) const { return 0; }
  size_t operator()(const SequenceNode& node) const { return depth_of(node.items); }
  size_t operator()(const DictNode& node) const {
    size_t depth = 0;
    for (const auto& [key, value] : node.entries)
      depth = std::max({depth, depth_of(key), depth_of(value)});
    return depth;
  }
  size_t operator()(const UnaryNode& node) const { return depth_of(node.operand); }
  size_t operator()(const BinaryNode& node) const {
    return std::max(depth_of(node.left), depth_of(node.right));
  }
  size_t operator()(const ConcatNode& node) const { return depth_of(node.parts); }
  size_t operator()(const CompareNode& node) const {
    size_t depth = depth_of(node.first);
    for (const auto& [op, operand] : node.rest) depth = std::max(depth, depth_of(operand));
    return depth;
  }
  size_t operator()(const ConditionalNode& node) const {
    return std::max(
        {depth_of(node.condition), depth_of(node.when_true), depth_of(node.when_false)});
  }
  size_t operator()(const AttributeNode& node) const { return depth_of(node.object); }
  size_t operator()(const ItemNode& node) const {
    return std::max(depth_of(node.object), depth_of(node.index));
  }
  size_t operator()(const SliceNode& node) const {
    return std::max({depth_of(node.start), depth_of(node.stop), depth_of(node.step)});
  }
  size_t operator()(const CallNode& node) const {
    return std::max(depth_of(node.callee), depth_of(node.arguments));
  }
  size_t operator()(const FilterNode& node) const {
    return std::max(depth_of(node.input), depth_of(node.arguments));
  }
  size_t operator()(const TestNode& node) const {
    return std::max(depth_of(node.input), depth_of(node.arguments));
  }
};

}  // namespace

size_t depth_with_children(const Expression::Node& node) {
  return 1 + std::visit(ChildDepth{}, node);
}

}  // namespace rung::text::jinja
