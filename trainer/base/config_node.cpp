#include "base/config_node.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>
#include <system_error>
#include <unordered_set>

#include "base/error_list.h"

namespace rung {
namespace {

// "file:line" for yaml-cpp's marks, which count from 0.
class Locator {
 public:
  Locator(const std::string& source, LineNumbers line_numbers)
      : source_(source), line_numbers_(line_numbers) {}

  std::string operator()(const YAML::Mark& mark) const {
    if (line_numbers_ == LineNumbers::kHidden || mark.line < 0) return source_;
    return fmt::format("{}:{}", source_, mark.line + 1);
  }

 private:
  const std::string& source_;
  LineNumbers line_numbers_;
};

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ExitCode::kConfig, {.what = what, .where = where});
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(Locator locate, ConfigErrors& errors) : locate_(locate), errors_(errors) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse("YAML aliases (*name) are not supported in a configuration", locate_(mark));
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    ConfigNode node;
    node.where = locate_(mark);
    add(std::move(node));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    ConfigNode node;
    node.kind = ConfigNode::Kind::kScalar;
    node.text = value;
    node.is_quoted = tag == "!";  // yaml-cpp's tag for quoted and block scalars
    node.where = locate_(mark);
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(ConfigNode::Kind::kList, mark);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(ConfigNode::Kind::kMap, mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

  ConfigNode take_root() { return std::move(root_); }

 private:
  struct Level {
    ConfigNode node;
    bool has_key = false;  // of a map: the key came, its value comes next
    ConfigNode key = {};
    std::unordered_set<std::string> seen = {};
  };

  void open(ConfigNode::Kind kind, const YAML::Mark& mark) {
    Level level;
    level.node.kind = kind;
    level.node.where = locate_(mark);
    levels_.push_back(std::move(level));
  }

  void close() {
    ConfigNode node = std::move(levels_.back().node);
    levels_.pop_back();
    add(std::move(node));
  }

  void add(ConfigNode node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == ConfigNode::Kind::kList) {
      level.node.items.push_back(std::move(node));
    } else if (!level.has_key) {
      if (!node.is_scalar()) refuse("a key must be a word", node.where);
      level.key = std::move(node);
      level.has_key = true;
    } else {
      level.has_key = false;
      add_entry(level, std::move(node));
    }
  }

  void add_entry(Level& level, ConfigNode value) {
    const std::string& key = level.key.text;
    if (!level.seen.insert(key).second) {
      errors_.add({.what = fmt::format("{} is set twice", key),
                   .hint = fmt::format("first at {}", level.node.find(key)->where),
                   .where = level.key.where});
      return;
    }
    level.node.entries.push_back(
        {.key = key, .value = std::move(value), .spelling = key, .where = level.key.where});
  }

  Locator locate_;
  ConfigErrors& errors_;
  std::vector<Level> levels_;
  ConfigNode root_;
};

// A plain scalar without the '+' that from_chars does not take.
std::string_view number_text(const ConfigNode& node) {
  std::string_view text = node.text;
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return text;
}

template <class Number>
bool read_number(const ConfigNode& node, Number& value) {
  if (!node.is_scalar() || node.is_quoted) return false;
  const std::string_view text = number_text(node);
  Number parsed{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (error != std::errc{} || end != text.data() + text.size()) return false;
  value = parsed;
  return true;
}

}  // namespace

ConfigEntry* ConfigNode::find(std::string_view key) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const ConfigEntry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

std::string ConfigNode::quoted() const {
  constexpr size_t kShown = 80;
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kList:
      return "a list";
    case Kind::kMap:
      return "a mapping";
    case Kind::kScalar:
      break;
  }
  const std::string shown = text.size() <= kShown ? text : text.substr(0, kShown) + "...";
  return is_quoted || text.empty() ? fmt::format("\"{}\"", shown) : shown;
}

void ConfigErrors::throw_if_any() const {
  if (problems_.empty()) return;
  if (problems_.size() == 1) throw Error(ExitCode::kConfig, problems_.front());
  throw ErrorList(ExitCode::kConfig,
                  fmt::format("{} errors in the configuration", problems_.size()), problems_);
}

ConfigNode parse_config_text(const std::string& text, const std::string& source,
                             LineNumbers line_numbers, ConfigErrors& errors) {
  const Locator locate(source, line_numbers);
  TreeBuilder builder(locate, errors);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return {};
    ConfigNode root = builder.take_root();
    if (parser.HandleNextDocument(builder)) {
      refuse("a configuration is one YAML document, this file has more", source);
    }
    return root;
  } catch (const YAML::Exception& error) {
    refuse("malformed YAML: " + error.msg, locate(error.mark));
  }
}

bool read_scalar(const ConfigNode& node, bool& value) {
  if (!node.is_scalar() || node.is_quoted) return false;
  const std::string text = lower_case(node.text);
  if (text == "true" || text == "yes" || text == "on") {
    value = true;
  } else if (text == "false" || text == "no" || text == "off") {
    value = false;
  } else {
    return false;
  }
  return true;
}

bool read_scalar(const ConfigNode& node, int64_t& value) { return read_number(node, value); }

bool read_scalar(const ConfigNode& node, uint64_t& value) { return read_number(node, value); }

bool read_scalar(const ConfigNode& node, double& value) {
  return read_number(node, value) && std::isfinite(value);
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace rung
