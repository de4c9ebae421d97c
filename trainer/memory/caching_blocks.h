// The blocks of a caching allocator's segments: cut, joined, and found by size.
//
// A segment is a run of addresses that the device gave at once; its blocks follow each other
// without gaps. Addresses stand for device addresses, with no memory behind them; a new segment
// lies above all others. When to cut and when to join is not decided here but in caching_model.h.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>

namespace rung::memory {

enum class CachePool : uint8_t { kSmall, kLarge };
enum class BlockState : uint8_t {
  kFree,
  kUsed,
  kUnmapped,  // addresses of an expandable segment without memory behind them
};

struct CachedBlock {
  int64_t size;     // bytes
  int64_t segment;  // address of the first block of its segment
  int64_t stream;
  CachePool pool;
  BlockState state;
};

// The order in which free blocks are searched: stream, then size, then address.
struct FreeKey {
  int64_t stream;
  int64_t size;  // bytes
  int64_t address;
  auto operator<=>(const FreeKey&) const = default;
};

// Unmapped blocks are searched by stream, then address.
struct UnmappedKey {
  int64_t stream;
  int64_t address;
  auto operator<=>(const UnmappedKey&) const = default;
};

class CachingBlocks {
 public:
  using ByAddress = std::map<int64_t, CachedBlock>;
  using Block = ByAddress::iterator;  // valid until it is joined to the one below, or removed

  // One block of `size` bytes in this state.
  Block add_segment(int64_t size, int64_t stream, CachePool pool, BlockState state);
  // `block` is all of its segment.
  void remove_segment(Block block);

  void set_state(Block block, BlockState state);
  // Cuts `block` to its first `size` bytes and returns the rest, in the same state.
  Block split(Block block, int64_t size);
  // Joins `block` with those neighbours in its segment that are in its state.
  Block merge(Block block);

  Block at(int64_t address) { return blocks_.find(address); }
  // Neighbours in the segment.
  std::optional<Block> previous(Block block);
  std::optional<Block> next(Block block);
  bool is_whole_segment(Block block) { return !previous(block) && !next(block); }

  const std::set<FreeKey>& free(CachePool pool) const { return free_[index_of(pool)]; }
  const std::set<UnmappedKey>& unmapped(CachePool pool) const { return unmapped_[index_of(pool)]; }
  const ByAddress& all() const { return blocks_; }
  int64_t num_segments() const { return num_segments_; }
  // Bytes of free blocks that share their segment with others: they cannot be given back.
  int64_t free_in_shared_segments() const;

 private:
  static size_t index_of(CachePool pool) { return static_cast<size_t>(pool); }
  void enter(Block block);  // into free_ or unmapped_
  void leave(Block block);

  ByAddress blocks_;
  std::set<FreeKey> free_[2];
  std::set<UnmappedKey> unmapped_[2];
  int64_t num_segments_ = 0;
};

}  // namespace rung::memory
