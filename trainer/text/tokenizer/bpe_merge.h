// Merges the symbols of one piece to its tokens: always the pair of lowest rank, leftmost first.
#pragma once

#include <vector>

#include "text/tokenizer/bpe.h"
#include "text/tokenizer/pair_table.h"

namespace rung::text {

// In place; lengths of merged symbols add up.
void merge_symbols(const PairTable& merges, std::vector<Symbol>& symbols);

}  // namespace rung::text
