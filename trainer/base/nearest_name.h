// The known name that a mistyped one was probably meant to be.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rung {

// The one of `names` with the fewest insertions, deletions, replacements and swaps of neighbours
// from `wanted`, letter case aside; the first of several. Nothing where that takes more than a
// third of the letters of `wanted` (two are always forgiven): such a name would only confuse.
std::optional<std::string_view> nearest_name(std::string_view wanted,
                                             std::span<const std::string_view> names);

// "did you mean X?" for a message; "" where nothing is near.
std::string did_you_mean(std::string_view wanted, std::span<const std::string_view> names);

}  // namespace rung
