#include "base/named_table.h"

#include "base/files.h"

namespace rung {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;

}  // namespace

ConfigNode read_named_table(const std::filesystem::path& yaml, const std::string& empty,
                            const std::string& expected, ConfigErrors& errors) {
  ConfigNode root = parse_config_text(read_text_file(yaml, kMaxBytes), yaml.string(),
                                      LineNumbers::kShown, errors);
  if (root.kind == ConfigNode::Kind::kMap && !root.entries.empty()) return root;
  throw Error(ExitCode::kConfig,
              {.what = empty, .got = root.quoted(), .expected = expected, .where = yaml.string()});
}

bool check_table_entry(const ConfigEntry& entry, const std::string& what,
                       const std::string& expected, std::span<const std::string_view> known,
                       ConfigErrors& errors) {
  if (entry.value.kind != ConfigNode::Kind::kMap) {
    errors.add(
        {.what = what, .got = entry.value.quoted(), .expected = expected, .where = entry.where});
    return false;
  }
  for (const ConfigEntry& key : entry.value.entries) {
    if (std::ranges::find(known, key.key) != known.end()) continue;
    errors.add({.what = fmt::format("unknown key {} of {}", key.key, what),
                .expected = fmt::format("{}", fmt::join(known, ", ")),
                .where = key.where});
  }
  return true;
}

}  // namespace rung
