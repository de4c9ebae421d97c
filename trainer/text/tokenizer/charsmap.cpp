#include "text/tokenizer/charsmap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"

namespace rung::text {
namespace {

constexpr size_t kMaxMatches = 32;        // Normalizer::kMaxTrieResultsSize
constexpr size_t kMaxReplacement = 4096;  // bytes; Unicode's longest is 33
constexpr size_t kBlockBytes = 1024;      // a node's children lie in one block of 256 units

[[noreturn]] void fail(const std::string& what, const std::string& where) {
  throw Error(
      ExitCode::kDamaged,
      {.what = "the normalizer's precompiled_charsmap is damaged: " + what, .where = where});
}

uint32_t read_u32(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    value |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[at + i])) << (8 * i);
  }
  return value;
}

// Finds the most keys that lie on one path, a depth-first walk that remembers each node: nodes may
// have several parents.
class TrieWalk {
 public:
  // num_replacements: bytes that values may point to.
  TrieWalk(std::string_view trie, size_t num_replacements, const std::string& where)
      : trie_(trie),
        num_replacements_(num_replacements),
        where_(where),
        depth_(trie.size() / 4, kUnvisited) {}

  size_t most_matches() {
    enter(offset_of(unit(0)));
    while (!stack_.empty()) {
      Node& node = stack_.back();
      if (node.next_byte == 256) {
        leave();
        continue;
      }
      const uint32_t byte = node.next_byte++;
      const uint32_t child = node.base ^ byte;
      // Bit 31 marks a value; bits 0 to 7 are the byte that leads here.
      if ((unit(child) & 0x800000ffU) != byte) continue;
      const uint32_t base = child ^ offset_of(unit(child));
      const uint8_t is_key = (unit(child) >> 8 & 1) != 0 ? 1 : 0;
      if (base >= depth_.size()) fail("a node points outside", where_);
      if (is_key) check_value(base);
      if (depth_[base] == kOpen) fail("its nodes form a ring", where_);
      if (depth_[base] == kUnvisited) {
        --node.next_byte;  // once more, when the child is known
        enter(base);
        continue;
      }
      node.depth = std::max(node.depth, depth_[base] + is_key);
      if (node.depth > kMaxMatches) fail("too many keys begin alike", where_);
    }
    return depth_[offset_of(unit(0))];
  }

 private:
  static constexpr size_t kUnvisited = SIZE_MAX;
  static constexpr size_t kOpen = SIZE_MAX - 1;

  struct Node {
    uint32_t base = 0;  // children stand at base ^ byte
    uint32_t next_byte = 0;
    size_t depth = 0;  // most keys below
  };

  // The value of a key stands where its children begin: an offset into the replacements.
  void check_value(uint32_t base) const {
    const uint32_t value = unit(base);
    if ((value & 0x80000000U) == 0 || (value & 0x7fffffffU) >= num_replacements_) {
      fail("a value points outside", where_);
    }
  }

  uint32_t unit(size_t i) const { return read_u32(trie_, 4 * i); }

  // Bit 9: the offset is in blocks.
  static uint32_t offset_of(uint32_t unit) { return unit >> 10 << ((unit & 0x200U) >> 6); }

  void enter(uint32_t base) {
    if (base >= depth_.size()) fail("a node points outside", where_);
    depth_[base] = kOpen;
    stack_.push_back({.base = base});
  }

  void leave() {
    depth_[stack_.back().base] = stack_.back().depth;
    stack_.pop_back();
  }

  std::string_view trie_;
  size_t num_replacements_;
  const std::string& where_;
  std::vector<size_t> depth_;  // by base
  std::vector<Node> stack_;
};

}  // namespace

size_t check_charsmap(std::string_view map, const std::string& where) {
  if (map.size() <= 4) fail("it is cut short", where);
  const size_t trie_bytes = read_u32(map, 0);
  if (trie_bytes < kBlockBytes || trie_bytes % kBlockBytes != 0 || trie_bytes >= map.size() - 4) {
    fail(fmt::format("its trie has {} bytes", trie_bytes), where);
  }
  std::string_view replacements = map.substr(4 + trie_bytes);
  TrieWalk(map.substr(4, trie_bytes), replacements.size(), where).most_matches();
  if (replacements.back() != '\0') fail("its last replacement has no end", where);
  size_t longest = 0;
  while (!replacements.empty()) {
    const size_t length = replacements.find('\0');
    longest = std::max(longest, length);
    replacements.remove_prefix(length + 1);
  }
  if (longest > kMaxReplacement) fail("a replacement is longer than 4 KiB", where);
  return longest;
}

}  // namespace rung::text
