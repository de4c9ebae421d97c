#include "format/gguf_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <type_traits>

#include "base/error.h"
#include "format/checked.h"

namespace rung::format {

namespace {

// The value for a message.
std::string shown(const GgufValue* value) {
  if (value == nullptr) return "nothing";
  return std::visit(
      [](const auto& held) -> std::string {
        using T = std::decay_t<decltype(held)>;
        constexpr size_t kShown = 80;
        if constexpr (std::is_same_v<T, std::string>) {
          return held.size() <= kShown ? held : held.substr(0, kShown) + "...";
        } else if constexpr (std::is_arithmetic_v<T>) {
          return fmt::format("{}", held);
        } else {
          return fmt::format("an array of {}", held.size());
        }
      },
      *value);
}

// An integer of either signedness, where `value` is one and fits.
std::optional<int64_t> as_integer(const GgufValue& value) {
  if (const auto* held = std::get_if<int64_t>(&value)) return *held;
  if (const auto* held = std::get_if<uint64_t>(&value)) return checked_int64(*held);
  return std::nullopt;
}

double shortest_decimal(float value) {
  char text[32];
  const auto written = std::to_chars(std::begin(text), std::end(text), value);
  double decimal = 0.0;
  std::from_chars(text, written.ptr, decimal);
  return decimal;
}

}  // namespace

std::optional<bool> GgufFields::boolean(std::string_view key) const {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) return std::nullopt;
  if (!std::holds_alternative<bool>(*value)) damaged(key, "true or false");
  return std::get<bool>(*value);
}

std::optional<int64_t> GgufFields::integer(std::string_view key, IntegerRange range) const {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number = as_integer(*value);
  if (!number || *number < range.min || *number > range.max) {
    damaged(key, fmt::format("an integer in {}..{}", range.min, range.max));
  }
  return number;
}

int64_t GgufFields::required_integer(std::string_view key, IntegerRange range) const {
  const std::optional<int64_t> number = integer(key, range);
  if (!number) damaged(key, "an integer: this architecture needs it");
  return *number;
}

std::optional<int64_t> GgufFields::uniform_integer(std::string_view key, IntegerRange range) const {
  const std::vector<int64_t> numbers = has(key) ? integers(key) : std::vector<int64_t>();
  if (numbers.empty()) return integer(key, range);
  const auto differs = [&](int64_t number) { return number != numbers.front(); };
  if (std::any_of(numbers.begin(), numbers.end(), differs)) {
    refuse(key, "one value for all layers", "layers of different sizes are not supported");
  }
  if (numbers.front() < range.min || numbers.front() > range.max) {
    damaged(key, fmt::format("integers in {}..{}", range.min, range.max));
  }
  return numbers.front();
}

std::optional<double> GgufFields::number(std::string_view key, NumberRange range) const {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) return std::nullopt;
  std::optional<double> number;
  if (const auto* held = std::get_if<float>(value)) number = shortest_decimal(*held);
  if (const auto* held = std::get_if<double>(value)) number = *held;
  if (const std::optional<int64_t> held = as_integer(*value)) number = static_cast<double>(*held);
  const bool fits = number && *number > range.above && *number <= range.max;  // false for NaN
  if (!fits) damaged(key, fmt::format("a number above {}, at most {}", range.above, range.max));
  return number;
}

std::optional<std::string> GgufFields::text(std::string_view key) const {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) return std::nullopt;
  if (!std::holds_alternative<std::string>(*value)) damaged(key, "a string");
  return std::get<std::string>(*value);
}

const std::vector<std::string>* GgufFields::texts(std::string_view key) const {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) return nullptr;
  const auto* held = std::get_if<std::vector<std::string>>(value);
  if (held == nullptr) damaged(key, "an array of strings");
  return held;
}

const std::vector<float>* GgufFields::floats(std::string_view key) const {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) return nullptr;
  const auto* held = std::get_if<std::vector<float>>(value);
  if (held == nullptr) damaged(key, "an array of 32-bit floats");
  return held;
}

std::vector<int64_t> GgufFields::integers(std::string_view key) const {
  const GgufValue* value = file_.find(key);
  if (value == nullptr) return {};
  if (const auto* held = std::get_if<std::vector<int64_t>>(value)) return *held;
  if (const auto* held = std::get_if<std::vector<uint64_t>>(value)) {
    std::vector<int64_t> numbers;
    for (const uint64_t number : *held) {
      if (!checked_int64(number)) damaged(key, "integers below 2^63");
      numbers.push_back(*checked_int64(number));
    }
    return numbers;
  }
  if (as_integer(*value)) return {};  // a single one is no array; integer() reads it
  damaged(key, "an array of integers");
}

void GgufFields::refuse(std::string_view key, const std::string& expected,
                        const std::string& hint) const {
  throw Error(ExitCode::kConfig, {.what = fmt::format("{} is not supported", key),
                                  .got = shown(file_.find(key)),
                                  .expected = expected,
                                  .hint = hint,
                                  .where = where()});
}

void GgufFields::damaged(std::string_view key, const std::string& expected) const {
  throw Error(ExitCode::kDamaged,
              {.what = fmt::format("{} is {}", key, has(key) ? "wrong" : "missing"),
               .got = has(key) ? shown(file_.find(key)) : "",
               .expected = expected,
               .where = where()});
}

}  // namespace rung::format
