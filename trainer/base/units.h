// Bytes, durations and counts as people write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rung {

std::string format_bytes(int64_t bytes);      // "512 B", "1.5 MiB", "23.0 GiB"
std::string format_duration(double seconds);  // "0.42 s", "12.3 s", "3 min 05 s", "2 h 07 min"
std::string format_count(int64_t count);      // "9,999", "1.23M", "4.56B"

// A count with its noun, which takes an s in the plural: "1 row", "0 rows", "1,234 rows".
std::string format_counted(int64_t count, std::string_view noun);

// "1073741824", "24GiB", "24 GB", "23.5GiB" (KiB..TiB are powers of 1024, kB..TB of 1000; letter
// case is ignored); nothing where `text` is none of these. A bare "24G" is refused: it means both.
std::optional<int64_t> parse_bytes(std::string_view text);

}  // namespace rung
