#include "text/jinja/parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "text/jinja/expression_parser.h"
#include "text/jinja/token_stream.h"

namespace rung::text::jinja {
namespace {

// Statements inside statements.
constexpr size_t kMaxNesting = 100;

constexpr std::array<std::string_view, 7> kUnsupportedTags = {
    "include", "import", "from", "extends", "block", "autoescape", "do"};

bool contains(const std::vector<std::string>& names, size_t from, std::string_view name) {
  return std::find(names.begin() + static_cast<std::ptrdiff_t>(from), names.end(), name) !=
         names.end();
}

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

  SyntaxTree run() {
    SyntaxTree tree;
    tree.body = parse_until({});
    tree.has_generation = has_generation_;
    return tree;
  }

 private:
  using EndTags = std::initializer_list<std::string_view>;

  // Statements up to one of `ends`, which stays as the current token; to the end of the template
  // where there are none.
  Block parse_until(EndTags ends) {
    if (++nesting_ > kMaxNesting) {
      throw SyntaxFailure(fmt::format("statements nest more than {} levels deep", kMaxNesting),
                          tokens_.line());
    }
    Block block;
    while (!tokens_.is(TokenKind::kEnd)) {
      const int line = tokens_.line();
      if (tokens_.is(TokenKind::kText)) {
        block.push_back({TextStatement{tokens_.take().text}, line});
      } else if (tokens_.is(TokenKind::kOutputBegin)) {
        tokens_.take();
        block.push_back({OutputStatement{expressions_.parse_tuple(Conditionals::kAllowed)}, line});
        tokens_.expect(TokenKind::kOutputEnd, "}}");
      } else {
        tokens_.expect(TokenKind::kBlockBegin, "{%");
        if (at_any(ends)) {
          --nesting_;
          return block;
        }
        parse_statement(block);
        tokens_.expect(TokenKind::kBlockEnd, "%}");
      }
    }
    if (ends.size() > 0) {
      throw SyntaxFailure(
          fmt::format("unexpected end of template, expected {{% {} %}}", *(ends.end() - 1)),
          tokens_.line());
    }
    --nesting_;
    return block;
  }

  bool at_any(EndTags names) const {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return tokens_.is_name(name); });
  }

  // The body behind the current tag, up to one of `ends`.
  Block parse_body(EndTags ends) {
    tokens_.take_operator(":");  // jinja2 takes a Python-like colon
    tokens_.expect(TokenKind::kBlockEnd, "%}");
    return parse_until(ends);
  }

  Block parse_body_and_end(std::string_view end) {
    Block body = parse_body({end});
    tokens_.take();
    return body;
  }

  void parse_statement(Block& block) {
    if (!tokens_.is(TokenKind::kName)) throw SyntaxFailure("tag name expected", tokens_.line());
    const Token tag = tokens_.take();
    const int line = tag.line;
    const std::string& name = tag.text;
    if (name == "if") {
      block.push_back({parse_if(), line});
    } else if (name == "for") {
      block.push_back({parse_for(), line});
    } else if (name == "set") {
      parse_set(block, line);
    } else if (name == "macro") {
      block.push_back({parse_macro(), line});
    } else if (name == "call") {
      block.push_back({parse_call_block(), line});
    } else if (name == "filter") {
      ExpressionPtr filter = expressions_.parse_filter_chain();
      block.push_back(
          {FilterBlockStatement{std::move(filter), parse_body_and_end("endfilter")}, line});
    } else if (name == "with") {
      block.push_back({parse_with(), line});
    } else if (name == "generation") {
      has_generation_ = true;
      block.push_back({GenerationStatement{parse_outside_loops("endgeneration")}, line});
    } else if (name == "print") {
      parse_print(block, line);
    } else if (name == "break" || name == "continue") {
      parse_jump(block, tag);
    } else {
      fail_unknown_tag(tag);
    }
  }

  [[noreturn]] static void fail_unknown_tag(const Token& tag) {
    const bool known = std::find(kUnsupportedTags.begin(), kUnsupportedTags.end(), tag.text) !=
                       kUnsupportedTags.end();
    throw SyntaxFailure(known ? fmt::format("tag '{}' is not supported", tag.text)
                              : fmt::format("Encountered unknown tag '{}'", tag.text),
                        tag.line);
  }

  void parse_jump(Block& block, const Token& tag) {
    if (loops_ == 0) throw SyntaxFailure(fmt::format("'{}' outside loop", tag.text), tag.line);
    if (tag.text == "break") {
      block.push_back({BreakStatement{}, tag.line});
    } else {
      block.push_back({ContinueStatement{}, tag.line});
    }
  }

  void parse_print(Block& block, int line) {
    bool first = true;
    while (!tokens_.is(TokenKind::kBlockEnd)) {
      if (!first) tokens_.expect_operator(",");
      first = false;
      block.push_back({OutputStatement{expressions_.parse()}, line});
    }
  }

  IfStatement parse_if() {
    IfStatement statement;
    while (true) {
      ExpressionPtr condition = expressions_.parse_tuple(Conditionals::kNotAllowed);
      Block body = parse_body({"elif", "else", "endif"});
      statement.branches.emplace_back(std::move(condition), std::move(body));
      const std::string next = tokens_.take().text;
      if (next == "elif") continue;
      if (next == "else") statement.otherwise = parse_body_and_end("endif");
      return statement;
    }
  }

  ForStatement parse_for() {
    ForStatement statement;
    statement.target = parse_target("in");
    require_names(statement.target);
    tokens_.expect_name("in");
    statement.items = expressions_.parse_tuple(Conditionals::kNotAllowed, "recursive");
    if (tokens_.take_name("if")) statement.condition = expressions_.parse();
    statement.recursive = tokens_.take_name("recursive");
    ++loops_;
    statement.body = parse_body({"endfor", "else"});
    --loops_;
    if (tokens_.take().text == "else") statement.otherwise = parse_body_and_end("endfor");
    return statement;
  }

  void parse_set(Block& block, int line) {
    Target target = parse_target("");
    if (tokens_.take_operator("=")) {
      ExpressionPtr value = expressions_.parse_tuple(Conditionals::kAllowed);
      block.push_back({SetStatement{std::move(target), std::move(value)}, line});
      return;
    }
    ExpressionPtr filter = expressions_.parse_optional_filters();
    Block body = parse_body_and_end("endset");
    block.push_back(
        {SetBlockStatement{std::move(target), std::move(filter), std::move(body)}, line});
  }

  // A name, namespace.attribute, or a tuple of them with or without parentheses; `end_name` ends a
  // tuple as %} and = do.
  Target parse_target(std::string_view end_name) {
    Target first = parse_one_target();
    if (!tokens_.is_operator(",")) return first;
    Target tuple;
    tuple.line = first.line;
    tuple.items.push_back(std::move(first));
    while (tokens_.take_operator(",")) {
      if (!tokens_.is(TokenKind::kName) && !tokens_.is_operator("(")) break;
      if (!end_name.empty() && tokens_.is_name(end_name)) break;
      tuple.items.push_back(parse_one_target());
    }
    return tuple;
  }

  Target parse_one_target() {
    if (tokens_.is_operator("(")) {
      if (++nesting_ > kMaxNesting) throw SyntaxFailure("targets nest too deeply", tokens_.line());
      tokens_.take();
      Target inner = parse_target("");
      tokens_.expect_operator(")");
      --nesting_;
      return inner;
    }
    const Token name = tokens_.expect(TokenKind::kName, "a name to assign to");
    constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none",
                                                            "True", "False", "None"};
    if (std::find(kConstants.begin(), kConstants.end(), name.text) != kConstants.end())
      throw SyntaxFailure(fmt::format("can't assign to '{}'", name.text), name.line);
    Target target;
    target.name = name.text;
    target.line = name.line;
    if (tokens_.take_operator("."))
      target.attribute = tokens_.expect(TokenKind::kName, "a name").text;
    return target;
  }

  // Only {% set %} writes to attributes of namespaces.
  static void require_names(const Target& target) {
    if (!target.attribute.empty())
      throw SyntaxFailure(
          fmt::format("can't assign to '{}.{}' here", target.name, target.attribute), target.line);
    for (const Target& item : target.items) require_names(item);
  }

  Signature parse_signature() {
    Signature signature;
    tokens_.expect_operator("(");
    while (!tokens_.is_operator(")")) {
      if (!signature.names.empty()) tokens_.expect_operator(",");
      signature.names.push_back(tokens_.expect(TokenKind::kName, "a parameter name").text);
      if (tokens_.take_operator("=")) {
        signature.defaults.push_back(expressions_.parse());
      } else if (!signature.defaults.empty()) {
        throw SyntaxFailure("non-default argument follows default argument", tokens_.line());
      }
    }
    tokens_.expect_operator(")");
    return signature;
  }

  // A body that becomes a function of its own: loops around it cannot be left from inside.
  Block parse_outside_loops(std::string_view end) {
    const size_t loops_around = std::exchange(loops_, 0);
    Block body = parse_body_and_end(end);
    loops_ = loops_around;
    return body;
  }

  std::shared_ptr<const MacroBody> finish_macro(std::string name, Signature signature,
                                                std::string_view end) {
    auto macro = std::make_shared<MacroBody>();
    macro->name = std::move(name);
    macro->signature = std::move(signature);
    const size_t names_before = expressions_.names_read().size();
    macro->block = parse_outside_loops(end);
    macro->uses_caller = contains(expressions_.names_read(), names_before, "caller");
    macro->uses_varargs = contains(expressions_.names_read(), names_before, "varargs");
    macro->uses_kwargs = contains(expressions_.names_read(), names_before, "kwargs");
    return macro;
  }

  MacroStatement parse_macro() {
    std::string name = tokens_.expect(TokenKind::kName, "a macro name").text;
    Signature signature = parse_signature();
    return {finish_macro(std::move(name), std::move(signature), "endmacro")};
  }

  CallBlockStatement parse_call_block() {
    CallBlockStatement statement;
    Signature signature;
    if (tokens_.is_operator("(")) signature = parse_signature();
    const int line = tokens_.line();
    statement.call = expressions_.parse();
    if (!std::holds_alternative<CallNode>(statement.call->node))
      throw SyntaxFailure("expected call", line);
    statement.caller = finish_macro("", std::move(signature), "endcall");
    return statement;
  }

  WithStatement parse_with() {
    WithStatement statement;
    while (!tokens_.is(TokenKind::kBlockEnd)) {
      if (!statement.assignments.empty()) tokens_.expect_operator(",");
      Target target = parse_one_target();
      require_names(target);
      tokens_.expect_operator("=");
      statement.assignments.emplace_back(std::move(target), expressions_.parse());
    }
    statement.body = parse_body_and_end("endwith");
    return statement;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  size_t nesting_ = 0;
  size_t loops_ = 0;  // loops around the current statement that break and continue may leave
  bool has_generation_ = false;
};

}  // namespace

SyntaxTree parse(std::string_view source) { return Parser(source).run(); }

}  // namespace rung::text::jinja
