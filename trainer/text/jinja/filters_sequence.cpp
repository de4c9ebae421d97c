#include "text/jinja/filters_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "text/jinja/builtins.h"
#include "text/jinja/failure.h"
#include "text/jinja/lookup.h"
#include "text/jinja/operators.h"
#include "text/jinja/parameters.h"
#include "text/jinja/unicode.h"
#include "text/jinja/write.h"

namespace rung::text::jinja {
namespace {

enum class LetterCase { kMatters, kIgnored };

LetterCase letter_case(const Parameters& parameters, size_t index) {
  return parameters.flag(index, false) ? LetterCase::kMatters : LetterCase::kIgnored;
}

// What an item is compared by.
Value key_of(Runtime& runtime, const Value& item, const Value& path, LetterCase letter) {
  const Value value = get_path(runtime, item, path);
  if (letter == LetterCase::kMatters || !value.is_text()) return value;
  runtime.charge_text(value.bytes().size());
  return Value::text(to_lower(value.bytes()));
}

// Several paths with commas make a list of keys, for sort.
Value sort_key(Runtime& runtime, const Value& item, const Value& paths, LetterCase letter) {
  if (!paths.is_text() || paths.bytes().find(',') == std::string::npos)
    return key_of(runtime, item, paths, letter);
  Values keys;
  const std::string& names = paths.bytes();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    keys.push_back(key_of(runtime, item, Value::text(names.substr(begin, end - begin)), letter));
    begin = end + 1;
  }
  return Value::list(std::move(keys));
}

enum class Order { kAscending, kDescending };

// The items in the order of their keys; equal ones keep theirs.
Values sorted_by(Runtime& runtime, const Values& items, const Values& keys, Order order) {
  const size_t key_weight =
      std::accumulate(keys.begin(), keys.end(), size_t{0},
                      [](size_t sum, const Value& key) { return sum + key.weight(); });
  runtime.charge(key_weight * static_cast<size_t>(std::bit_width(items.size())));
  std::vector<size_t> indices(items.size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  std::stable_sort(indices.begin(), indices.end(), [&](size_t a, size_t b) {
    return order == Order::kAscending ? less(keys[a], keys[b]) : less(keys[b], keys[a]);
  });
  Values sorted;
  sorted.reserve(items.size());
  for (const size_t index : indices) sorted.push_back(items[index]);
  return sorted;
}

Value iterator(Values items) { return Value::sequence(SequenceKind::kIterator, std::move(items)); }

enum class Extreme { kSmallest, kLargest };

Value extreme(Runtime& runtime, const Value& input, const Arguments& arguments, Extreme which) {
  const Parameters parameters("min or max", arguments, {"case_sensitive", "attribute"});
  const Values items = iterate(runtime, input);
  if (items.empty()) return Value::undefined("No aggregated item, sequence was empty.");
  const Value path = parameters.value_or(1, Value());
  const LetterCase letter = letter_case(parameters, 0);
  size_t best = 0;
  Value best_key = key_of(runtime, items[0], path, letter);
  for (size_t i = 1; i < items.size(); ++i) {
    Value key = key_of(runtime, items[i], path, letter);
    runtime.charge(std::min(key.weight(), best_key.weight()));
    if (which == Extreme::kSmallest ? less(key, best_key) : less(best_key, key)) {
      best = i;
      best_key = std::move(key);
    }
  }
  return items[best];
}

Arguments without_first(Runtime& runtime, const Arguments& arguments, size_t count) {
  runtime.charge(arguments.positional.size());
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(count),
                         arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

std::string name_argument(const Arguments& arguments, size_t index) {
  const Value& name = arguments.positional[index];
  if (!name.is_text())
    throw Failure(fmt::format("a filter or test name was expected, got {}", name.type_name()));
  return name.bytes();
}

enum class Keep { kMatching, kOthers };
enum class Subject { kItem, kAttribute };  // what the test looks at

Value select_items(Runtime& runtime, const Value& input, const Arguments& arguments, Keep keep,
                   Subject subject) {
  if (!input.truthy()) return iterator({});
  const size_t first = subject == Subject::kAttribute ? 1 : 0;
  if (arguments.positional.size() < first) throw Failure("Missing parameter for attribute name");
  const Value path = first == 1 ? arguments.positional[0] : Value();
  const bool has_test = arguments.positional.size() > first;
  const TestFunction test = has_test ? find_test(name_argument(arguments, first)) : nullptr;
  const Arguments rest = has_test ? without_first(runtime, arguments, first + 1) : Arguments{};
  Values kept;
  for (const Value& item : iterate(runtime, input)) {
    const Value value = get_path(runtime, item, path);
    const bool matches = has_test ? test(runtime, value, rest) : value.truthy();
    if (matches == (keep == Keep::kMatching)) kept.push_back(item);
  }
  return iterator(std::move(kept));
}

Value map_attribute(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("map", arguments, {"attribute", "default"});
  const Value path = parameters.required(0);
  Values mapped;
  for (const Value& item : iterate(runtime, input)) {
    Value value = get_path(runtime, item, path);
    const bool use_default =
        value.is_undefined() && parameters.given(1) && !parameters.required(1).is_none();
    mapped.push_back(use_default ? parameters.required(1) : std::move(value));
  }
  return iterator(std::move(mapped));
}

// Fills the last part of a batch or slice.
void fill(Runtime& runtime, Values& part, const Value& filler, size_t size) {
  if (filler.is_none() || part.size() >= size) return;
  runtime.charge(size - part.size());
  part.resize(size, filler);
}

int64_t positive(const Parameters& parameters, size_t index, std::string_view function) {
  parameters.required(index);
  const int64_t number = parameters.integer(index, 0);
  if (number <= 0 || number > 1'000'000)
    throw Failure(fmt::format("{}() takes a number in 1..1000000, got {}", function, number));
  return number;
}

}  // namespace

Value filter_length(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("length", arguments, {});
  if (input.is_text()) runtime.charge_text(input.bytes().size());
  return Value::integer(length(input));
}

Value filter_list(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("list", arguments, {});
  return Value::list(iterate(runtime, input));
}

Value filter_items(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("items", arguments, {});
  if (input.is_undefined()) return iterator({});
  if (!input.is_dict()) throw Failure("Can only get item pairs from a mapping.");
  return iterator(find_container_method(input, "items")(runtime, input, {}).as_sequence().items);
}

Value filter_first(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("first", arguments, {});
  const Values items = iterate(runtime, input);
  return items.empty() ? Value::undefined("No first item, sequence was empty.") : items.front();
}

Value filter_last(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("last", arguments, {});
  if (input.is_sequence() && input.as_sequence().kind == SequenceKind::kIterator)
    throw Failure("'generator' object is not reversible");
  const Values items = iterate(runtime, input);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value filter_reverse(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters none("reverse", arguments, {});
  if (input.is_text()) return slice(runtime, input, {{}, {}, -1});
  Values items = iterate(runtime, input);
  std::reverse(items.begin(), items.end());
  return iterator(std::move(items));
}

Value filter_join(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("join", arguments, {"d", "attribute"});
  const std::string separator = to_text(runtime, parameters.value_or(0, Value::text("")));
  const Value path = parameters.value_or(1, Value());
  std::string out;
  bool first = true;
  for (const Value& item : iterate(runtime, input)) {
    if (!std::exchange(first, false)) out += separator;
    out += to_text(runtime, get_path(runtime, item, path));
    if (out.size() > runtime.limits().max_text) runtime.charge_text(out.size());
  }
  return text_like(runtime, Value(), std::move(out));
}

Value filter_sort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const Values items = iterate(runtime, input);
  const Value paths = parameters.value_or(2, Value());
  Values keys;
  for (const Value& item : items)
    keys.push_back(sort_key(runtime, item, paths, letter_case(parameters, 1)));
  const Order order = parameters.flag(0, false) ? Order::kDescending : Order::kAscending;
  return Value::list(sorted_by(runtime, items, keys, order));
}

Value filter_dictsort(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  input.require_defined();
  if (!input.is_dict())
    throw Failure(fmt::format("dictsort needs a mapping, got {}", input.type_name()));
  const std::string by = parameters.text(1, "key");
  if (by != "key" && by != "value")
    throw Failure("You can only sort by either \"key\" or \"value\"");
  Values items;
  Values keys;
  for (const auto& [key, value] : input.as_dict().entries) {
    items.push_back(Value::tuple({key, value}));
    keys.push_back(key_of(runtime, by == "key" ? key : value, Value(), letter_case(parameters, 0)));
  }
  const Order order = parameters.flag(2, false) ? Order::kDescending : Order::kAscending;
  return Value::list(sorted_by(runtime, items, keys, order));
}

Value filter_unique(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("unique", arguments, {"case_sensitive", "attribute"});
  const Value path = parameters.value_or(1, Value());
  Values seen;
  Values kept;
  for (const Value& item : iterate(runtime, input)) {
    Value key = key_of(runtime, item, path, letter_case(parameters, 0));
    require_hashable(key);
    runtime.charge(1 + seen.size() * key.weight() / 8);
    if (std::any_of(seen.begin(), seen.end(), [&](const Value& old) { return equal(old, key); }))
      continue;
    seen.push_back(std::move(key));
    kept.push_back(item);
  }
  return iterator(std::move(kept));
}

Value filter_min(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return extreme(runtime, input, arguments, Extreme::kSmallest);
}

Value filter_max(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return extreme(runtime, input, arguments, Extreme::kLargest);
}

Value filter_sum(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("sum", arguments, {"attribute", "start"});
  const Value path = parameters.value_or(0, Value());
  Value sum = parameters.value_or(1, Value::integer(0));
  if (sum.is_text()) throw Failure("sum() can't sum strings [use ''.join(seq) instead]");
  for (const Value& item : iterate(runtime, input))
    sum = apply_binary(runtime, BinaryOperator::kAdd, sum, get_path(runtime, item, path));
  return sum;
}

Value filter_map(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Runtime::Level level(runtime);  // map("map", "map", ...) calls itself
  if (!input.truthy()) return iterator({});
  if (arguments.positional.empty()) {
    if (arguments.named.empty()) throw Failure("map requires a filter argument");
    return map_attribute(runtime, input, arguments);
  }
  const FilterFunction filter = find_filter(name_argument(arguments, 0));
  const Arguments rest = without_first(runtime, arguments, 1);
  Values mapped;
  for (const Value& item : iterate(runtime, input)) mapped.push_back(filter(runtime, item, rest));
  return iterator(std::move(mapped));
}

Value filter_select(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return select_items(runtime, input, arguments, Keep::kMatching, Subject::kItem);
}

Value filter_reject(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return select_items(runtime, input, arguments, Keep::kOthers, Subject::kItem);
}

Value filter_selectattr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return select_items(runtime, input, arguments, Keep::kMatching, Subject::kAttribute);
}

Value filter_rejectattr(Runtime& runtime, const Value& input, const Arguments& arguments) {
  return select_items(runtime, input, arguments, Keep::kOthers, Subject::kAttribute);
}

Value filter_batch(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("batch", arguments, {"linecount", "fill_with"});
  const auto size = static_cast<size_t>(positive(parameters, 0, "batch"));
  Values batches;
  Values batch;
  for (const Value& item : iterate(runtime, input)) {
    if (batch.size() == size) batches.push_back(Value::list(std::exchange(batch, {})));
    batch.push_back(item);
  }
  if (!batch.empty()) {
    fill(runtime, batch, parameters.value_or(1, Value()), size);
    batches.push_back(Value::list(std::move(batch)));
  }
  return iterator(std::move(batches));
}

Value filter_slice(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("slice", arguments, {"slices", "fill_with"});
  const auto count = static_cast<size_t>(positive(parameters, 0, "slice"));
  runtime.charge(count);
  const Values items = iterate(runtime, input);
  const size_t small = items.size() / count;
  const size_t num_larger = items.size() % count;
  Values slices;
  size_t begin = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t end = begin + small + (i < num_larger ? 1 : 0);
    Values part(items.begin() + static_cast<std::ptrdiff_t>(begin),
                items.begin() + static_cast<std::ptrdiff_t>(end));
    // Even when all are equally long, jinja2 adds the filler to each.
    if (i >= num_larger) fill(runtime, part, parameters.value_or(1, Value()), part.size() + 1);
    slices.push_back(Value::list(std::move(part)));
    begin = end;
  }
  return iterator(std::move(slices));
}

Value filter_groupby(Runtime& runtime, const Value& input, const Arguments& arguments) {
  const Parameters parameters("groupby", arguments, {"attribute", "default", "case_sensitive"});
  const Value path = parameters.required(0);
  const LetterCase letter = letter_case(parameters, 2);
  const auto grouped_by = [&](const Value& item, LetterCase how) {
    Value key = key_of(runtime, item, path, how);
    return key.is_undefined() && parameters.given(1) ? parameters.required(1) : key;
  };
  Values items = iterate(runtime, input);
  Values keys;
  for (const Value& item : items) keys.push_back(grouped_by(item, letter));
  items = sorted_by(runtime, items, keys, Order::kAscending);
  Values groups;
  for (size_t begin = 0; begin < items.size();) {
    const Value key = grouped_by(items[begin], letter);
    size_t end = begin + 1;
    while (end < items.size() && equal(grouped_by(items[end], letter), key)) ++end;
    Values members(items.begin() + static_cast<std::ptrdiff_t>(begin),
                   items.begin() + static_cast<std::ptrdiff_t>(end));
    groups.push_back(Value::sequence(
        SequenceKind::kGroup,
        {grouped_by(items[begin], LetterCase::kMatters), Value::list(std::move(members))}));
    begin = end;
  }
  return Value::list(std::move(groups));
}

}  // namespace rung::text::jinja
