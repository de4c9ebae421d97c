// Packing: whole documents into rows of at most sequence_len tokens, as few rows as best-fit
// decreasing finds (within 11/9 of the optimum; D. S. Johnson, 1973).
//
// The number of rows, and which lengths share one, depend on the lengths alone, so every epoch has
// the same number of steps. `order` decides among documents of equal length, and comes from the
// epoch's shuffle. Nothing is split, padded or truncated.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace rung::data {

using Row = std::vector<int64_t>;  // example indices

// lengths[i] is the number of tokens of example i, at most sequence_len; `order` is a permutation
// of the example indices. Every row lists its documents in the order of `order`, and the rows
// follow the first document of each.
std::vector<Row> pack_rows(std::span<const int64_t> lengths, std::span<const int64_t> order,
                           int64_t sequence_len);

}  // namespace rung::data
