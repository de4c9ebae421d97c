#include "base/config_overrides.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace rung {
namespace {

std::vector<std::string> split_path(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<size_t> read_index(const std::string& text) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return {};
  return index;
}

// The node at `path` under `node`, made where it is missing; nullptr where the path does not fit
// the tree.
ConfigNode* node_at(ConfigNode& node, std::span<const std::string> path, const std::string& where) {
  if (path.empty()) return &node;
  const std::optional<size_t> index = read_index(path[0]);
  const ConfigNode::Kind kind = index ? ConfigNode::Kind::kList : ConfigNode::Kind::kMap;
  if (node.is_null()) {
    node.kind = kind;
    node.where = where;
  }
  if (node.kind != kind) return nullptr;
  if (index) {
    if (*index > node.items.size()) return nullptr;
    if (*index == node.items.size()) node.items.emplace_back();
    return node_at(node.items[*index], path.subspan(1), where);
  }
  if (node.find(path[0]) == nullptr) {
    node.entries.push_back({.key = path[0], .value = {}, .spelling = path[0], .where = where});
  }
  return node_at(node.find(path[0])->value, path.subspan(1), where);
}

// Whether the text of a value has nothing in it, or a comment alone: YAML reads that as null, and
// so as "the default", which an unset variable of a script hardly means.
bool is_blank(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos || text[first] == '#';
}

bool is_dataset_list(const std::string& key) { return key == "datasets" || key == "test_datasets"; }

}  // namespace

void apply_override(ConfigNode& root, const std::string& override, SpellingReport report) {
  const std::string where = "--set " + override;
  const size_t equals = override.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error(ExitCode::kUsage,
                {.what = "an override has no value", .expected = "key=value", .where = where});
  }
  const std::string key = override.substr(0, equals);
  const std::string value = override.substr(equals + 1);
  if (is_blank(value)) {
    report.errors.add({.what = fmt::format("{} is set to nothing", key),
                       .expected = "key=value",
                       .hint = fmt::format("for the default write {0}=null, for the empty text "
                                           "{0}='\"\"'",
                                           key),
                       .where = where});
    return;
  }
  std::vector<std::string> path = split_path(key);
  path[0] = canonical_run_key(path[0]);

  // The last key of the path and its value as a mapping of one entry, to rename it like those of
  // a file. It may turn into another key ("bf16=true") or into none.
  const std::string last = path.back();
  path.pop_back();
  ConfigNode leaf;
  leaf.kind = ConfigNode::Kind::kMap;
  leaf.entries.push_back(
      {.key = last,
       .value = parse_config_text(value, where, LineNumbers::kHidden, report.errors),
       .spelling = last,
       .where = where});
  leaf.entries[0].value.where = where;
  if (path.empty()) {
    canonicalize_run_keys(leaf, report);
  } else if (is_dataset_list(path[0]) && path.size() == 2) {
    canonicalize_dataset_keys(leaf, report);
  } else if (is_dataset_list(path[0]) && path.size() == 1 && !leaf.entries[0].value.is_scalar()) {
    canonicalize_dataset_keys(leaf.entries[0].value, report);
  }
  for (ConfigEntry& entry : leaf.entries) {
    std::vector<std::string> full_path = path;
    full_path.push_back(entry.key);
    ConfigNode* target = node_at(root, full_path, where);
    if (target == nullptr) {
      report.errors.add(
          {.what = fmt::format("there is no place {} in the configuration", key), .where = where});
      continue;
    }
    *target = std::move(entry.value);
    if (full_path.size() == 1) root.find(full_path[0])->spelling = entry.spelling;
  }
}

}  // namespace rung
