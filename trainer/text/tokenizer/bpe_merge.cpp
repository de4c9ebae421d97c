#include "text/tokenizer/bpe_merge.h"

#include <array>
#include <cstdint>
#include <limits>
#include <queue>
#include <tuple>

namespace rung::text {
namespace {

// Up to this many symbols, looking at all pairs again after each merge beats a queue.
constexpr size_t kShortPiece = 32;

constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();

// As PairTable::find, with an infinite rank for pairs that do not merge.
Merge merge_of(const PairTable& merges, const Symbol& left, const Symbol& right) {
  const Merge* merge = merges.find(left.id, right.id);
  return merge ? *merge : Merge{kNoRank, 0};
}

void merge_short(const PairTable& merges, std::vector<Symbol>& symbols) {
  std::array<Merge, kShortPiece> pairs;  // pairs[i]: of symbols i and i + 1
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) pairs[i] = merge_of(merges, symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNoRank) break;
    symbols[best] = {pairs[best].product, symbols[best].length + symbols[best + 1].length};
    --count;
    for (size_t i = best + 1; i < count; ++i) symbols[i] = symbols[i + 1];
    for (size_t i = best + 1; i + 1 < count; ++i) pairs[i] = pairs[i + 1];
    if (best > 0) pairs[best - 1] = merge_of(merges, symbols[best - 1], symbols[best]);
    if (best + 1 < count) pairs[best] = merge_of(merges, symbols[best], symbols[best + 1]);
  }
  symbols.resize(count);
}

constexpr uint32_t kEnd = UINT32_MAX;

// A possible merge: of the symbol at `position` with its right neighbour.
struct Candidate {
  Merge merge;
  uint32_t position = 0;

  // Orders std::priority_queue so that its top is the lowest rank, leftmost.
  bool operator<(const Candidate& other) const {
    return std::tie(merge.rank, position) > std::tie(other.merge.rank, other.position);
  }
};

// Symbols as a list over their first positions, so that a merge takes constant time.
class LongPiece {
 public:
  LongPiece(const PairTable& merges, std::vector<Symbol>& symbols)
      : merges_(merges), symbols_(symbols), links_(symbols.size()) {
    const auto count = static_cast<uint32_t>(symbols.size());
    for (uint32_t i = 0; i < count; ++i) {
      links_[i] = {i == 0 ? kEnd : i - 1, i + 1 == count ? kEnd : i + 1};
    }
    for (uint32_t i = 0; i < count; ++i) add_candidate(i);
  }

  void merge_all() {
    while (!queue_.empty()) {
      const Candidate candidate = queue_.top();
      queue_.pop();
      if (is_current(candidate)) merge(candidate);
    }
    size_t count = 0;
    for (const Symbol& symbol : symbols_) {
      if (symbol.length >= 0) symbols_[count++] = symbol;
    }
    symbols_.resize(count);
  }

 private:
  static constexpr int32_t kRemoved = -1;  // as the length of a symbol merged into its left one
  struct Link {
    uint32_t previous = kEnd;
    uint32_t next = kEnd;
  };

  void add_candidate(uint32_t position) {
    const uint32_t next = links_[position].next;
    if (next == kEnd) return;
    const Merge* merge = merges_.find(symbols_[position].id, symbols_[next].id);
    if (merge) queue_.push({*merge, position});
  }

  // False where one of the pair has merged elsewhere since.
  bool is_current(const Candidate& candidate) const {
    const uint32_t next = links_[candidate.position].next;
    if (symbols_[candidate.position].length == kRemoved || next == kEnd) return false;
    const Merge* merge = merges_.find(symbols_[candidate.position].id, symbols_[next].id);
    return merge && merge->product == candidate.merge.product;
  }

  void merge(const Candidate& candidate) {
    const uint32_t left = candidate.position;
    const uint32_t right = links_[left].next;
    symbols_[left] = {candidate.merge.product, symbols_[left].length + symbols_[right].length};
    symbols_[right].length = kRemoved;
    links_[left].next = links_[right].next;
    if (links_[left].next != kEnd) links_[links_[left].next].previous = left;
    if (links_[left].previous != kEnd) add_candidate(links_[left].previous);
    add_candidate(left);
  }

  const PairTable& merges_;
  std::vector<Symbol>& symbols_;
  std::vector<Link> links_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace

void merge_symbols(const PairTable& merges, std::vector<Symbol>& symbols) {
  if (symbols.size() <= kShortPiece) {
    merge_short(merges, symbols);
  } else {
    LongPiece(merges, symbols).merge_all();
  }
}

}  // namespace rung::text
