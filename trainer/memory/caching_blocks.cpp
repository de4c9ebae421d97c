#include "memory/caching_blocks.h"

#include <cassert>
#include <iterator>

namespace rung::memory {

void CachingBlocks::enter(Block block) {
  const auto& [address, data] = *block;
  if (data.state == BlockState::kFree) {
    free_[index_of(data.pool)].insert({data.stream, data.size, address});
  } else if (data.state == BlockState::kUnmapped) {
    unmapped_[index_of(data.pool)].insert({data.stream, address});
  }
}

void CachingBlocks::leave(Block block) {
  const auto& [address, data] = *block;
  if (data.state == BlockState::kFree) {
    free_[index_of(data.pool)].erase({data.stream, data.size, address});
  } else if (data.state == BlockState::kUnmapped) {
    unmapped_[index_of(data.pool)].erase({data.stream, address});
  }
}

CachingBlocks::Block CachingBlocks::add_segment(int64_t size, int64_t stream, CachePool pool,
                                                BlockState state) {
  const auto highest = blocks_.rbegin();
  const int64_t address = highest == blocks_.rend() ? 0 : highest->first + highest->second.size;
  ++num_segments_;
  const Block block = blocks_.emplace_hint(
      blocks_.end(), address, CachedBlock{size, /*segment=*/address, stream, pool, state});
  enter(block);
  return block;
}

void CachingBlocks::remove_segment(Block block) {
  assert(is_whole_segment(block));
  leave(block);
  blocks_.erase(block);
  --num_segments_;
}

void CachingBlocks::set_state(Block block, BlockState state) {
  leave(block);
  block->second.state = state;
  enter(block);
}

CachingBlocks::Block CachingBlocks::split(Block block, int64_t size) {
  assert(0 < size && size < block->second.size);
  leave(block);
  CachedBlock rest = block->second;
  rest.size -= size;
  block->second.size = size;
  enter(block);
  const Block after = blocks_.emplace_hint(std::next(block), block->first + size, rest);
  enter(after);
  return after;
}

CachingBlocks::Block CachingBlocks::merge(Block block) {
  const auto join = [this](Block low, Block high) {
    leave(low);
    leave(high);
    low->second.size += high->second.size;
    blocks_.erase(high);
    enter(low);
    return low;
  };
  const BlockState state = block->second.state;
  if (const auto low = previous(block); low && (*low)->second.state == state) {
    block = join(*low, block);
  }
  if (const auto high = next(block); high && (*high)->second.state == state) {
    block = join(block, *high);
  }
  return block;
}

std::optional<CachingBlocks::Block> CachingBlocks::previous(Block block) {
  if (block->first == block->second.segment) return std::nullopt;
  return std::prev(block);
}

std::optional<CachingBlocks::Block> CachingBlocks::next(Block block) {
  const Block after = std::next(block);
  if (after == blocks_.end() || after->second.segment != block->second.segment) return std::nullopt;
  return after;
}

int64_t CachingBlocks::free_in_shared_segments() const {
  int64_t bytes = 0;
  for (auto block = blocks_.begin(); block != blocks_.end(); ++block) {
    if (block->second.state != BlockState::kFree) continue;
    const auto after = std::next(block);
    const bool first = block->first == block->second.segment;
    const bool last = after == blocks_.end() || after->second.segment != block->second.segment;
    if (!first || !last) bytes += block->second.size;
  }
  return bytes;
}

}  // namespace rung::memory
