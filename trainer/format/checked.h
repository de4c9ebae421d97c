// Integer arithmetic that cannot overflow silently, for sizes and offsets read from files.
//
// Two forms: the plain one returns nothing on overflow (for a caller with its own message), the
// `_or_throw` one throws Error kDamaged naming `where` (file, tensor). All sizes are int64_t; a
// negative operand is as wrong as an overflow, since no size or offset of a file is negative.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "base/error.h"

namespace rung::format {

inline std::optional<int64_t> checked_add(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (a < 0 || b < 0 || __builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<int64_t> checked_mul(int64_t a, int64_t b) {
  int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// Product of all dimensions; 1 for an empty shape (a scalar).
inline std::optional<int64_t> checked_product(std::span<const int64_t> shape) {
  std::optional<int64_t> product = 1;
  for (const int64_t size : shape) {
    product = checked_mul(*product, size);
    if (!product) return std::nullopt;
  }
  return product;
}

// A u64 of a file as int64_t; nothing where it does not fit.
inline std::optional<int64_t> checked_int64(uint64_t value) {
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(value);
}

[[noreturn]] inline void throw_overflow(const std::string& where) {
  throw Error(ExitCode::kDamaged, {.what = "a size in the file overflows 63 bits",
                                   .hint = "the file is damaged or not what it claims to be",
                                   .where = where});
}

inline int64_t add_or_throw(int64_t a, int64_t b, const std::string& where) {
  const std::optional<int64_t> sum = checked_add(a, b);
  if (!sum) throw_overflow(where);
  return *sum;
}

inline int64_t mul_or_throw(int64_t a, int64_t b, const std::string& where) {
  const std::optional<int64_t> product = checked_mul(a, b);
  if (!product) throw_overflow(where);
  return *product;
}

}  // namespace rung::format
