// Values of the template language: Python's, as far as a chat template can tell.
//
// Strings are UTF-8 and know whether they are "safe" (markupsafe.Markup: adding an unsafe string
// escapes it, and templates that say `| safe` do see that). Lists, tuples and dicts cannot be
// changed once made, as in jinja2's immutable sandbox; namespaces can. Dicts keep insertion order.
// Integers are 64 bits wide (Python's are unbounded): overflow is a Failure, never a wrong number.
//
// Containers carry how deeply they nest and how many values they hold when written out, both
// bounded when they are made, so that destroying, comparing or printing one cannot run away.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace rung::text::jinja {

class Value;
struct Text;
struct Sequence;
struct Dict;
struct Namespace;
struct Loop;
struct Arguments;
struct Function;
class Runtime;

using Values = std::vector<Value>;

// Why a lookup found nothing; the text of the error that using it gives.
struct Undefined {
  std::shared_ptr<const std::string> message;
};
struct None {};

// kKeys, kValues and kItems are dict views, kIterator is what map(), select() and the like return:
// it can be walked once. kGroup is groupby's tuple, whose two items have names.
enum class SequenceKind { kList, kTuple, kRange, kKeys, kValues, kItems, kIterator, kGroup };

enum class Safety { kPlain, kSafe };

class Value {
 public:
  using Storage = std::variant<None, Undefined, bool, int64_t, double, std::shared_ptr<const Text>,
                               std::shared_ptr<Sequence>, std::shared_ptr<const Dict>,
                               std::shared_ptr<Namespace>, std::shared_ptr<Loop>,
                               std::shared_ptr<const Function>>;

  Value() = default;  // None
  static Value undefined(std::string message);
  static Value boolean(bool value) { return Value(Storage(value)); }
  static Value integer(int64_t value) { return Value(Storage(value)); }
  static Value real(double value) { return Value(Storage(value)); }
  static Value text(std::string bytes, Safety safety = Safety::kPlain);
  static Value list(Values items);
  static Value tuple(Values items);
  static Value sequence(SequenceKind kind, Values items);
  static Value dict(std::vector<std::pair<Value, Value>> entries);  // a later equal key wins
  static Value of(std::shared_ptr<Namespace> value) { return Value(Storage(std::move(value))); }
  static Value of(std::shared_ptr<Loop> value) { return Value(Storage(std::move(value))); }
  // `held` is the depth of the values that `call` keeps alive.
  static Value function(std::string name, std::function<Value(Runtime&, const Arguments&)> call,
                        size_t held = 0);
  // Fails where the document nests too deeply. Integers above int64 become floats.
  static Value from_json(const nlohmann::ordered_json& json);

  bool is_none() const { return holds<None>(); }
  bool is_undefined() const { return holds<Undefined>(); }
  bool is_bool() const { return holds<bool>(); }
  bool is_int() const { return holds<int64_t>(); }  // not for booleans
  bool is_integral() const { return is_int() || is_bool(); }
  bool is_float() const { return holds<double>(); }
  bool is_number() const { return is_integral() || is_float(); }
  bool is_text() const { return holds<std::shared_ptr<const Text>>(); }
  bool is_safe() const;
  bool is_sequence() const { return holds<std::shared_ptr<Sequence>>(); }
  bool is_list() const;
  bool is_tuple() const;  // groups are tuples too
  bool is_dict() const { return holds<std::shared_ptr<const Dict>>(); }
  bool is_namespace() const { return holds<std::shared_ptr<Namespace>>(); }
  bool is_loop() const { return holds<std::shared_ptr<Loop>>(); }
  bool is_function() const { return holds<std::shared_ptr<const Function>>(); }

  // Each needs the matching is_... to hold.
  bool as_bool() const { return std::get<bool>(storage_); }
  int64_t as_integral() const { return is_bool() ? as_bool() : std::get<int64_t>(storage_); }
  double as_double() const;  // any number
  const std::string& bytes() const;
  Sequence& as_sequence() const { return *std::get<std::shared_ptr<Sequence>>(storage_); }
  const Dict& as_dict() const { return *std::get<std::shared_ptr<const Dict>>(storage_); }
  Namespace& as_namespace() const { return *std::get<std::shared_ptr<Namespace>>(storage_); }
  const std::shared_ptr<Loop>& as_loop() const { return std::get<std::shared_ptr<Loop>>(storage_); }
  const Function& as_function() const {
    return *std::get<std::shared_ptr<const Function>>(storage_);
  }

  bool truthy() const;
  // Python's name of the type: "str", "dict", ...
  std::string type_name() const;
  // Throws the error that using an undefined value gives; nothing for other values.
  void require_defined() const;

  size_t depth() const;   // levels of nested containers below and including this one
  size_t weight() const;  // values this one writes out as

  const Storage& storage() const { return storage_; }

 private:
  explicit Value(Storage storage) : storage_(std::move(storage)) {}
  template <typename T>
  bool holds() const {
    return std::holds_alternative<T>(storage_);
  }

  Storage storage_;
};

struct Text {
  std::string bytes;
  Safety safety = Safety::kPlain;
};

struct Sequence {
  SequenceKind kind = SequenceKind::kList;
  Values items;
  bool exhausted = false;  // kIterator: already walked
  size_t depth = 1;
  size_t weight = 1;
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  size_t depth = 1;
  size_t weight = 1;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

// The `loop` object of a running {% for %}; holds nothing any more when the loop has ended.
struct Loop {
  Values items;
  size_t index = 0;
  size_t depth = 1;          // 1 for the outermost level of a recursive loop
  Values last_changed;       // arguments of the latest loop.changed()
  bool has_changed = false;  // loop.changed() was called before
  std::function<Value(Runtime&, const Value&)> recurse;  // loop(items); empty unless recursive
};

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Anything callable: macros, builtin functions, bound methods.
struct Function {
  std::string name;
  std::function<Value(Runtime&, const Arguments&)> call;
  size_t depth = 1;
};

// Python's ==. Never fails: values of different types are unequal.
bool equal(const Value& left, const Value& right);
// Python's <. Fails for types that have no order.
bool less(const Value& left, const Value& right);
// Fails unless `key` can be a dict key.
void require_hashable(const Value& key);

}  // namespace rung::text::jinja
