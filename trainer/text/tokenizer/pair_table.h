// The merges of a BPE model: pair of ids -> rank and id of the product.
//
// A flat hash table with linear probing: one look-up a pair of neighbouring symbols is what
// encoding spends its time on. Keys never collide for long because the multiplier (2^64 over the
// golden ratio) spreads neighbouring ids.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace rung::text {

struct Merge {
  int32_t rank = 0;
  int32_t product = 0;
};

class PairTable {
 public:
  explicit PairTable(size_t num_pairs)
      : slots_(std::bit_ceil(num_pairs * 2 + 2)), shift_(64 - std::countr_zero(slots_.size())) {}

  // Sets the merge of a pair; a pair set before is overwritten.
  void set(int32_t left, int32_t right, Merge merge) {
    slots_[slot_of(key_of(left, right))] = {key_of(left, right), merge};
  }

  // null where the pair does not merge.
  const Merge* find(int32_t left, int32_t right) const {
    const Slot& slot = slots_[slot_of(key_of(left, right))];
    return slot.key == kEmpty ? nullptr : &slot.merge;
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;  // ids are not negative
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  // Where `key` is, or would go.
  size_t slot_of(uint64_t key) const {
    size_t index = (key * 0x9e3779b97f4a7c15U) >> shift_;
    while (slots_[index].key != key && slots_[index].key != kEmpty) {
      index = (index + 1) & (slots_.size() - 1);
    }
    return index;
  }

  std::vector<Slot> slots_;
  int shift_;
};

}  // namespace rung::text
