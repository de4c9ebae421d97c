#include "memory/caching_model.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace rung::memory {
namespace {

// All in bytes.
constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kMinBlock = 512;
constexpr int64_t kLargestSmall = kMiB;         // of the small pool
constexpr int64_t kSmallSegment = 2 * kMiB;     // also the page of small expandable segments
constexpr int64_t kLargeSegment = 20 * kMiB;    // also the page of large expandable segments
constexpr int64_t kOwnSegmentFrom = 10 * kMiB;  // a segment is made to measure
constexpr int64_t kSegmentRounding = 2 * kMiB;  // of those
constexpr int64_t kOversizeSlack = 20 * kMiB;   // a block of max_split_size may be larger by this
constexpr int64_t kAddressRange = int64_t{1} << 50;  // of an expandable segment: never runs out

int64_t round_down(int64_t bytes, int64_t unit) { return bytes / unit * unit; }
int64_t round_up(int64_t bytes, int64_t unit) { return round_down(bytes + unit - 1, unit); }

int64_t page_of(CachePool pool) {
  return pool == CachePool::kSmall ? kSmallSegment : kLargeSegment;
}

int64_t segment_size_for(int64_t size) {
  if (size <= kLargestSmall) return kSmallSegment;
  if (size < kOwnSegmentFrom) return kLargeSegment;
  return round_up(size, kSegmentRounding);
}

}  // namespace

CachingModel::CachingModel(const CachingOptions& options) : options_(options) {
  assert(options.limit >= 0 && options.max_split_size >= kLargeSegment);
}

bool CachingModel::allocate(uint64_t id, int64_t bytes, int64_t stream) {
  assert(bytes > 0 && !held_.contains(id));
  const Request request = request_for(bytes, stream);
  std::optional<Block> found = find(request);
  if (!found) found = take_from_device(request);
  if (!found && release_oversize(request)) found = take_from_device(request);
  if (!found) {
    release_cached();
    ++stats_.num_retries;
    found = take_from_device(request);
  }
  if (!found) {
    ++stats_.num_failures;
    return false;
  }
  const Block block = *found;
  if (worth_splitting(block, request)) blocks_.split(block, request.size);
  blocks_.set_state(block, BlockState::kUsed);
  held_.emplace(id, block->first);
  stats_.allocated += block->second.size;
  stats_.allocated_peak = std::max(stats_.allocated_peak, stats_.allocated);
  return true;
}

void CachingModel::free(uint64_t id) {
  const auto held = held_.find(id);
  if (held == held_.end()) return;
  const Block block = blocks_.at(held->second);
  held_.erase(held);
  stats_.allocated -= block->second.size;
  blocks_.set_state(block, BlockState::kFree);
  blocks_.merge(block);
}

CachingModel::Request CachingModel::request_for(int64_t bytes, int64_t stream) const {
  const int64_t size = round_up(bytes, kMinBlock);
  return {.size = size,
          .segment_size = segment_size_for(size),
          .stream = stream,
          .pool = size <= kLargestSmall ? CachePool::kSmall : CachePool::kLarge};
}

bool CachingModel::worth_splitting(Block block, const Request& request) const {
  const int64_t rest = block->second.size - request.size;
  if (request.pool == CachePool::kSmall || expandable()) return rest >= kMinBlock;
  return request.size < options_.max_split_size && rest > kLargestSmall;
}

// Best fit among the cached blocks.
std::optional<CachingModel::Block> CachingModel::find(const Request& request) {
  const std::set<FreeKey>& free = blocks_.free(request.pool);
  auto best = free.lower_bound({request.stream, request.size, /*address=*/0});
  if (best == free.end() || best->stream != request.stream) return std::nullopt;
  if (expandable()) {
    // The block before unmapped addresses counts as large as it can become, so that it is taken
    // last. The search goes on only as long as the next one is better.
    for (auto next = std::next(best);
         next != free.end() && next->stream == request.stream &&
         size_when_expanded(next->address) < size_when_expanded(best->address);
         ++next) {
      best = next;
    }
  }
  const int64_t max_split = options_.max_split_size;
  const bool oversize = request.size >= max_split;
  if (!oversize && best->size >= max_split) return std::nullopt;
  if (oversize && best->size >= request.size + kOversizeSlack) return std::nullopt;
  return blocks_.at(best->address);
}

int64_t CachingModel::size_when_expanded(int64_t address) {
  const Block block = blocks_.at(address);
  const auto after = blocks_.next(block);
  const bool grows = after && (*after)->second.state == BlockState::kUnmapped;
  return block->second.size + (grows ? (*after)->second.size : 0);
}

// A free block of at least the size asked for, in a new segment or in newly mapped pages.
std::optional<CachingModel::Block> CachingModel::take_from_device(const Request& request) {
  if (request.size >= kAddressRange - kLargeSegment) return std::nullopt;
  if (options_.limit > 0 && stats_.reserved + request.segment_size > options_.limit) {
    return std::nullopt;
  }
  if (expandable()) return expand(request);
  add_reserved(request.segment_size);
  return blocks_.add_segment(request.segment_size, request.stream, request.pool, BlockState::kFree);
}

CachingModel::Block CachingModel::expand(const Request& request) {
  Block block = room_to_expand(request);
  if (block->second.state == BlockState::kUnmapped) block = map(block, request.size);
  while (block->second.size < request.size) {
    block = map(*blocks_.next(block), request.size - block->second.size);
  }
  return block;
}

// The lowest run of free and unmapped blocks that the request fits in.
CachingModel::Block CachingModel::room_to_expand(const Request& request) {
  const std::set<UnmappedKey>& unmapped = blocks_.unmapped(request.pool);
  for (auto key = unmapped.lower_bound({request.stream, /*address=*/0});
       key != unmapped.end() && key->stream == request.stream; ++key) {
    Block block = blocks_.at(key->address);
    if (const auto before = blocks_.previous(block);
        before && (*before)->second.state == BlockState::kFree) {
      block = *before;
    }
    if (has_room(block, request.size)) return block;
  }
  return blocks_.add_segment(round_down(kAddressRange, page_of(request.pool)), request.stream,
                             request.pool, BlockState::kUnmapped);
}

bool CachingModel::has_room(Block block, int64_t bytes) {
  int64_t room = 0;
  for (std::optional<Block> part = block;
       room < bytes && part && (*part)->second.state != BlockState::kUsed;
       part = blocks_.next(*part)) {
    room += (*part)->second.size;
  }
  return room >= bytes;
}

// Maps the first `bytes` of an unmapped block, whole pages; returns the free block they are in.
CachingModel::Block CachingModel::map(Block unmapped, int64_t bytes) {
  const int64_t mapped =
      std::min(round_up(bytes, page_of(unmapped->second.pool)), unmapped->second.size);
  if (mapped < unmapped->second.size) blocks_.split(unmapped, mapped);
  blocks_.set_state(unmapped, BlockState::kFree);
  add_reserved(mapped);
  return blocks_.merge(unmapped);
}

// Gives back the whole pages inside a free block.
void CachingModel::unmap(Block free) {
  const int64_t page = page_of(free->second.pool);
  const int64_t offset = free->first - free->second.segment;
  const int64_t begin = round_up(offset, page);
  const int64_t end = round_down(offset + free->second.size, page);
  if (begin >= end) return;
  Block pages = begin > offset ? blocks_.split(free, begin - offset) : free;
  if (end - begin < pages->second.size) blocks_.split(pages, end - begin);
  blocks_.set_state(pages, BlockState::kUnmapped);
  stats_.reserved -= end - begin;
  pages = blocks_.merge(pages);
  if (blocks_.is_whole_segment(pages)) blocks_.remove_segment(pages);
}

// Gives back just enough oversize blocks for the request: the smallest that is large enough, or
// else the largest ones.
bool CachingModel::release_oversize(const Request& request) {
  if (options_.max_split_size == std::numeric_limits<int64_t>::max() || expandable()) return false;
  const int64_t wanted = std::max(request.size, options_.max_split_size);
  const std::set<FreeKey>& free = blocks_.free(request.pool);
  auto key = free.lower_bound({request.stream, wanted, /*address=*/0});
  if (key != free.end() && key->stream == request.stream) {
    release_segment(blocks_.at(key->address));
    return true;
  }
  int64_t released = 0;
  while (released < wanted && key != free.begin()) {
    const FreeKey largest = *std::prev(key);
    if (largest.size < options_.max_split_size || largest.stream != request.stream) break;
    released += largest.size;
    release_segment(blocks_.at(largest.address));
  }
  return released >= wanted;
}

void CachingModel::release_cached() {
  for (const CachePool pool : {CachePool::kLarge, CachePool::kSmall}) {
    const std::vector<FreeKey> keys(blocks_.free(pool).begin(), blocks_.free(pool).end());
    for (const FreeKey& key : keys) {
      const Block block = blocks_.at(key.address);
      if (expandable()) {
        unmap(block);
      } else if (blocks_.is_whole_segment(block)) {
        release_segment(block);
      }
    }
  }
}

void CachingModel::release_segment(Block whole) {
  stats_.reserved -= whole->second.size;
  blocks_.remove_segment(whole);
}

void CachingModel::add_reserved(int64_t bytes) {
  stats_.reserved += bytes;
  stats_.reserved_peak = std::max(stats_.reserved_peak, stats_.reserved);
}

CachingStats CachingModel::stats() const {
  CachingStats stats = stats_;
  stats.inactive_split = expandable() ? 0 : blocks_.free_in_shared_segments();
  stats.num_segments = blocks_.num_segments();
  return stats;
}

void CachingModel::reset_peaks() {
  stats_.reserved_peak = stats_.reserved;
  stats_.allocated_peak = stats_.allocated;
}

}  // namespace rung::memory
