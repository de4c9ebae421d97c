// Splitting and replacing in text, shared by string methods and filters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace rung::text::jinja {

struct SplitOptions {
  std::string separator;    // empty: runs of white space
  int64_t max_splits = -1;  // negative: no bound
  Side from = Side::kLeft;  // where splits are counted from
};

// str.split and str.rsplit.
std::vector<std::string_view> split_text(std::string_view text, const SplitOptions& options);

struct Replacement {
  std::string from;
  std::string to;
  int64_t max_count = -1;  // negative: all
};

// str.replace; an empty `from` stands between all characters.
std::string replace_all(Runtime& runtime, std::string_view text, const Replacement& replacement);

}  // namespace rung::text::jinja
