// The evaluator's statements.

#include "text/jinja/evaluator.h"

#include <fmt/format.h>

#include "text/jinja/builtins.h"
#include "text/jinja/evaluator_guards.h"
#include "text/jinja/failure.h"
#include "text/jinja/operators.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

}  // namespace

Evaluator::Evaluator(Runtime& runtime, const std::vector<std::pair<std::string, Value>>& variables)
    : runtime_(runtime), scope_(std::make_shared<Scope>(nullptr)) {
  for (const auto& [name, value] : variables) scope_->set(name, value);
  kept_scopes_.push_back(scope_);
}

Evaluator::~Evaluator() {
  for (const auto& scope : kept_scopes_) scope->clear();
}

void Evaluator::run(const SyntaxTree& tree) { execute(tree.body); }

Evaluator::Flow Evaluator::execute(const Block& block) {
  for (const Statement& statement : block) {
    const Flow flow = execute(statement);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Evaluator::Flow Evaluator::execute(const Statement& statement) {
  const Runtime::Level level(runtime_);
  line_ = statement.line;
  const auto next = [](auto&&...) { return Flow::kNext; };
  return std::visit(
      Overloaded{
          [&](const TextStatement& node) { return next((write(node.text), 0)); },
          [&](const OutputStatement& node) {
            const Value value = evaluate(*node.value);
            return next((write(to_text(runtime_, value)), 0));
          },
          [&](const SetStatement& node) {
            const Value value = evaluate(*node.value);
            return next((assign(node.target, value), 0));
          },
          [&](const IfStatement& node) { return execute_if(node); },
          [&](const ForStatement& node) { return execute_for(node); },
          [&](const SetBlockStatement& node) { return execute_set_block(node); },
          [&](const FilterBlockStatement& node) { return execute_filter_block(node); },
          [&](const WithStatement& node) { return execute_with(node); },
          [&](const MacroStatement& node) { return next((execute_macro(node), 0)); },
          [&](const CallBlockStatement& node) { return next((execute_call_block(node), 0)); },
          [&](const GenerationStatement& node) { return next((execute_generation(node), 0)); },
          [&](const BreakStatement&) { return Flow::kBreak; },
          [&](const ContinueStatement&) { return Flow::kContinue; },
      },
      statement.node);
}

void Evaluator::write(std::string_view text) {
  runtime_.charge_text(text.size());
  *sink_ += text;
  if (sink_->size() > runtime_.limits().max_text) runtime_.charge_text(sink_->size());
}

Evaluator::Flow Evaluator::execute_if(const IfStatement& statement) {
  for (const auto& [condition, body] : statement.branches) {
    if (evaluate(*condition).truthy()) return execute(body);
  }
  return execute(statement.otherwise);
}

Evaluator::Flow Evaluator::execute_for(const ForStatement& statement) {
  run_loop(statement, evaluate(*statement.items), 1);
  return Flow::kNext;
}

// The items the loop runs over: those for which its condition holds.
Values Evaluator::loop_items(const ForStatement& statement, const Value& items) {
  Values all = iterate(runtime_, items);
  if (!statement.condition) return all;
  Values kept;
  for (Value& item : all) {
    const InnerScope scope(*this);
    assign(statement.target, item);
    if (evaluate(*statement.condition).truthy()) kept.push_back(std::move(item));
  }
  return kept;
}

void Evaluator::run_loop(const ForStatement& statement, const Value& items, size_t depth) {
  auto loop = std::make_shared<Loop>();
  loop->items = loop_items(statement, items);
  loop->depth = depth;
  if (statement.recursive) {
    loop->recurse = [this, &statement, scope = scope_, depth](Runtime&, const Value& inner) {
      return recurse_into(statement, scope, inner, depth + 1);
    };
  }
  if (loop->items.empty()) {
    const InnerScope scope(*this);
    execute(statement.otherwise);
    return;
  }
  for (; loop->index < loop->items.size(); ++loop->index) {
    const InnerScope scope(*this);
    runtime_.charge(1);
    scope_->set("loop", Value::of(loop));
    const Value item = loop->items[loop->index];
    assign(statement.target, item);
    if (execute(statement.body) == Flow::kBreak) break;
  }
  *loop = Loop{};  // so that loops kept in variables cannot form chains or circles
}

// loop(items) in a recursive loop: the text the loop gives for them.
Value Evaluator::recurse_into(const ForStatement& statement, const std::shared_ptr<Scope>& scope,
                              const Value& items, size_t depth) {
  const ScopeSwitch inside(*this, scope);
  Capture capture(*this);
  run_loop(statement, items, depth);
  return Value::text(capture.take());
}

Evaluator::Flow Evaluator::execute_set_block(const SetBlockStatement& statement) {
  std::string text;
  {
    const InnerScope scope(*this);
    Capture capture(*this);
    const Flow flow = execute(statement.body);
    if (flow != Flow::kNext) return flow;
    text = capture.take();
  }
  assign(statement.target, apply_filters(statement.filter, std::move(text)));
  return Flow::kNext;
}

Evaluator::Flow Evaluator::execute_filter_block(const FilterBlockStatement& statement) {
  std::string text;
  {
    const InnerScope scope(*this);
    Capture capture(*this);
    const Flow flow = execute(statement.body);
    if (flow != Flow::kNext) return flow;
    text = capture.take();
  }
  write(to_text(runtime_, apply_filters(statement.filter, std::move(text))));
  return Flow::kNext;
}

Value Evaluator::apply_filters(const ExpressionPtr& filter, std::string text) {
  const Value input = Value::text(std::move(text));
  if (!filter) return input;
  const Value* outer = std::exchange(filter_input_, &input);
  Value result = evaluate(*filter);
  filter_input_ = outer;
  return result;
}

Evaluator::Flow Evaluator::execute_with(const WithStatement& statement) {
  // The values are those outside, not of the names assigned before them.
  Values values;
  for (const auto& [target, value] : statement.assignments) values.push_back(evaluate(*value));
  const InnerScope scope(*this);
  for (size_t i = 0; i < values.size(); ++i) assign(statement.assignments[i].first, values[i]);
  return execute(statement.body);
}

void Evaluator::execute_macro(const MacroStatement& statement) {
  scope_->set(statement.macro->name, make_macro(statement.macro));
}

void Evaluator::execute_call_block(const CallBlockStatement& statement) {
  const auto& call_node = std::get<CallNode>(statement.call->node);
  const Value callee = evaluate(*call_node.callee);
  Arguments arguments = evaluate_arguments(call_node.arguments);
  arguments.named.emplace_back("caller", make_macro(statement.caller));
  write(to_text(runtime_, call(callee, arguments)));
}

void Evaluator::execute_generation(const GenerationStatement& statement) {
  std::string text;
  {
    const InnerScope scope(*this);
    Capture capture(*this);
    execute(statement.body);
    text = capture.take();
  }
  generations_.emplace_back(output_.size(), output_.size() + text.size());
  write(text);
}

void Evaluator::assign(const Target& target, const Value& value) {
  if (target.name.empty()) return assign_items(target, value);
  if (target.attribute.empty()) return scope_->set(target.name, value);
  const Value* space = scope_->find(target.name);
  if (space == nullptr) throw Failure(fmt::format("'{}' is undefined", target.name));
  if (!space->is_namespace()) throw Failure("cannot assign attribute on non-namespace object");
  check_namespace_attribute(target.attribute);
  space->as_namespace().set(target.attribute, value);
}

void Evaluator::assign_items(const Target& target, const Value& value) {
  value.require_defined();
  const Values items = iterate(runtime_, value);
  if (items.size() != target.items.size()) {
    throw Failure(fmt::format("{} values to unpack (expected {}, got {})",
                              items.size() < target.items.size() ? "not enough" : "too many",
                              target.items.size(), items.size()));
  }
  for (size_t i = 0; i < items.size(); ++i) assign(target.items[i], items[i]);
}

Value Evaluator::make_macro(const std::shared_ptr<const MacroBody>& macro) {
  runtime_.charge(16);  // the scope stays alive until the end
  kept_scopes_.push_back(scope_);
  return Value::function(macro->name,
                         [this, macro, scope = scope_](Runtime&, const Arguments& arguments) {
                           return call_macro(*macro, scope, arguments);
                         });
}

Value Evaluator::call_macro(const MacroBody& macro, const std::shared_ptr<Scope>& defined_in,
                            const Arguments& arguments) {
  const Runtime::Level level(runtime_);
  const ScopeSwitch inside(*this, std::make_shared<Scope>(defined_in));
  bind_parameters(macro, arguments);
  bind_extras(macro, arguments);
  Capture capture(*this);
  execute(macro.block);
  return Value::text(capture.take());
}

void Evaluator::bind_parameters(const MacroBody& macro, const Arguments& arguments) {
  const std::vector<std::string>& names = macro.signature.names;
  const size_t first_default = names.size() - macro.signature.defaults.size();
  for (size_t i = 0; i < names.size(); ++i) {
    const auto named =
        std::find_if(arguments.named.begin(), arguments.named.end(),
                     [&](const auto& argument) { return argument.first == names[i]; });
    if (i < arguments.positional.size()) {
      scope_->set(names[i], arguments.positional[i]);
    } else if (named != arguments.named.end()) {
      scope_->set(names[i], named->second);
    } else if (i >= first_default) {
      scope_->set(names[i], evaluate(*macro.signature.defaults[i - first_default]));
    } else {
      scope_->set(names[i],
                  Value::undefined(fmt::format("parameter '{}' was not provided", names[i])));
    }
  }
}

// varargs, kwargs and caller, which a macro has where its body uses them.
void Evaluator::bind_extras(const MacroBody& macro, const Arguments& arguments) {
  const std::vector<std::string>& names = macro.signature.names;
  Values extra;
  for (size_t i = names.size(); i < arguments.positional.size(); ++i)
    extra.push_back(arguments.positional[i]);
  if (!extra.empty() && !macro.uses_varargs)
    throw Failure(
        fmt::format("macro '{}' takes not more than {} argument(s)", macro.name, names.size()));
  std::vector<std::pair<Value, Value>> named;
  Value caller = Value::undefined("No caller defined");
  for (const auto& [name, value] : arguments.named) {
    const auto parameter = std::find(names.begin(), names.end(), name);
    if (parameter != names.end()) {
      if (static_cast<size_t>(parameter - names.begin()) < arguments.positional.size())
        throw Failure(
            fmt::format("macro '{}' got multiple values for argument '{}'", macro.name, name));
    } else if (name == "caller" && macro.uses_caller) {
      caller = value;
    } else if (macro.uses_kwargs) {
      named.emplace_back(Value::text(name), value);
    } else {
      throw Failure(fmt::format("macro '{}' takes no keyword argument '{}'", macro.name, name));
    }
  }
  const bool own_caller = std::find(names.begin(), names.end(), "caller") != names.end();
  if (macro.uses_caller && !own_caller) scope_->set("caller", caller);
  if (macro.uses_varargs) scope_->set("varargs", Value::tuple(std::move(extra)));
  if (macro.uses_kwargs) scope_->set("kwargs", Value::dict(std::move(named)));
}

}  // namespace rung::text::jinja
