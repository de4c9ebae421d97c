#include "data/packing.h"

#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

namespace rung::data {
namespace {

// Rows under construction, found by the room they have left.
class OpenRows {
 public:
  explicit OpenRows(int64_t sequence_len) : sequence_len_(sequence_len) {}

  // Puts document `position` into the fullest row that has room, the oldest such, or a new one.
  void place(int64_t position, int64_t length) {
    const auto fit = by_room_.lower_bound({length, 0});
    size_t row_idx = rows_.size();
    int64_t room = sequence_len_;
    if (fit != by_room_.end()) {
      room = fit->first;
      row_idx = fit->second;
      by_room_.erase(fit);
    } else {
      rows_.emplace_back();
    }
    rows_[row_idx].push_back(position);
    if (room > length) by_room_.insert({room - length, row_idx});
  }

  std::vector<Row> take() { return std::move(rows_); }

 private:
  int64_t sequence_len_;
  std::vector<Row> rows_;
  std::set<std::pair<int64_t, size_t>> by_room_;  // {room in tokens, row}
};

}  // namespace

std::vector<Row> pack_rows(std::span<const int64_t> lengths, std::span<const int64_t> order,
                           int64_t sequence_len) {
  assert(lengths.size() == order.size());
  // Positions in `order`, longest document first; equal lengths stay in that order.
  std::vector<int64_t> positions(order.size());
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int64_t>(i);
  const auto length_at = [&](int64_t position) {
    return lengths[static_cast<size_t>(order[static_cast<size_t>(position)])];
  };
  std::stable_sort(positions.begin(), positions.end(),
                   [&](int64_t a, int64_t b) { return length_at(a) > length_at(b); });

  OpenRows open(sequence_len);
  for (const int64_t position : positions) open.place(position, length_at(position));
  std::vector<Row> rows = open.take();
  for (Row& row : rows) std::sort(row.begin(), row.end());
  std::sort(rows.begin(), rows.end());  // by first position; no two rows share one
  for (Row& row : rows) {
    for (int64_t& entry : row) entry = order[static_cast<size_t>(entry)];
  }
  return rows;
}

}  // namespace rung::data
