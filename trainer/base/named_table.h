// YAML files that are a table: a mapping of names to things (shapes of models, GPUs).
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/config_node.h"
#include "base/error.h"

namespace rung {

// The file's tree, a mapping with at least one entry. `empty` and `expected` are the words of the
// Error kConfig that is thrown where it is none; duplicate names go to `errors`.
ConfigNode read_named_table(const std::filesystem::path& yaml, const std::string& empty,
                            const std::string& expected, ConfigErrors& errors);

// Whether `entry`, called `what` ("the GPU l4"), is a mapping; else `errors` has it, with
// `expected`. Keys in it that are not among `known` go to `errors` as well.
bool check_table_entry(const ConfigEntry& entry, const std::string& what,
                       const std::string& expected, std::span<const std::string_view> known,
                       ConfigErrors& errors);

// The item whose `name` member is `name`; throws Error kUsage, `what` and all names, where there is
// none.
template <typename Item>
const Item& find_named(const std::vector<Item>& items, const std::string& name,
                       const std::string& what) {
  const auto found = std::ranges::find(items, name, &Item::name);
  if (found != items.end()) return *found;
  std::vector<std::string_view> names;
  for (const Item& item : items) names.push_back(item.name);
  throw Error(
      ExitCode::kUsage,
      {.what = what, .got = name, .expected = fmt::format("one of {}", fmt::join(names, ", "))});
}

}  // namespace rung
