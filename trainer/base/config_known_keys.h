// Keys that other trainers have and rung does not: what becomes of each (config_spellings.h).
#pragma once

#include <span>
#include <string_view>

namespace rung {

// "key: from" means "to_key: to"; an empty to_key: it says what rung does anyway. A key of this
// table with another value is not supported.
struct PairAlias {
  std::string_view key;
  std::string_view from;  // lower case
  std::string_view to_key;
  std::string_view to;
};

// Known, but not built yet: refused unless the value is `off` (or null, false, 0, an empty list).
struct UnbuiltKey {
  std::string_view key;
  std::string_view off = {};
  std::string_view hint = {};
};

// Has no counterpart in rung and does not change what is trained.
struct IdleKey {
  std::string_view key;
  std::string_view reason;
};

struct KnownKeys {
  std::span<const PairAlias> pairs;
  std::span<const UnbuiltKey> unbuilt;
  std::span<const IdleKey> idle;
};

KnownKeys known_run_keys();
KnownKeys known_dataset_keys();

// How many of known_run_keys().unbuilt, counted from the front, are keys of rung's own.
size_t num_own_unbuilt_keys();

}  // namespace rung
