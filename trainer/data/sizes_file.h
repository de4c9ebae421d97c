// The sizes of a run's examples as bytes:
//
//   "rung example sizes 2\n"
//   u64 training examples, u64 validation examples
//   of the records of the training data: u64 too_long, without_labels, truncated, longest
//   of each example, training first: u32 num_tokens, u32 num_supervised
//   the SHA-256 of all that, as 64 hexadecimal digits
//
// Integers are little-endian.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "data/example_sizes.h"

namespace rung::data {

std::string write_sizes(const RunSizes& sizes);

// Nothing where `bytes` are not what write_sizes() writes, to the last one.
std::optional<RunSizes> read_sizes(std::string_view bytes);

}  // namespace rung::data
