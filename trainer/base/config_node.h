// The YAML tree of a configuration: every node knows where it stands, for error messages.
//
// Built from yaml-cpp's events, because its own tree keeps duplicate keys silently. Anchors,
// several documents in a file and keys that are no scalars are refused.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace rung {

struct ConfigEntry;

struct ConfigNode {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  std::string text;                  // kScalar
  bool is_quoted = false;            // kScalar: written in quotes or as a block, so never a number
  std::vector<ConfigNode> items;     // kList
  std::vector<ConfigEntry> entries;  // kMap, in the order of the file
  std::string where;                 // "file:line"

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  ConfigEntry* find(std::string_view key);
  // How a message quotes it: the scalar (shortened), "a list" or "a mapping".
  std::string quoted() const;
};

struct ConfigEntry {
  std::string key;
  ConfigNode value;
  std::string spelling;  // the key as the user wrote it
  std::string where;     // of the key
};

// Collects the problems of a configuration, to show them all at once.
class ConfigErrors {
 public:
  void add(ErrorParts parts) { problems_.push_back(std::move(parts)); }
  bool empty() const { return problems_.empty(); }
  // Throws Error kConfig with all problems, a line each, where there are any.
  void throw_if_any() const;

 private:
  std::vector<ErrorParts> problems_;
};

enum class LineNumbers { kShown, kHidden };

// The tree of `text`. `source` opens every `where`. Duplicate keys go to `errors`; text that is no
// YAML throws Error kConfig.
ConfigNode parse_config_text(const std::string& text, const std::string& source,
                             LineNumbers line_numbers, ConfigErrors& errors);

// Readings of a plain scalar; false where it is none. A quoted one is never a number or boolean.
bool read_scalar(const ConfigNode& node, bool& value);
bool read_scalar(const ConfigNode& node, int64_t& value);
bool read_scalar(const ConfigNode& node, uint64_t& value);
bool read_scalar(const ConfigNode& node, double& value);  // finite

std::string lower_case(std::string_view text);  // ASCII

}  // namespace rung
