// Strict JSON for untrusted files, as RFC 8259 has it, with the order of keys kept.
//
// Refused: duplicate keys, invalid UTF-8, lone surrogates, numbers beyond double, anything behind
// the value, nesting deeper and text longer than the limits. A leading UTF-8 byte-order mark is
// skipped. Objects of many keys (a vocabulary) are built in linear time, but a look-up in a
// finished Json object scans it: iterate over big objects, never index them in a loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace rung {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t max_bytes = size_t{256} << 20;
  int max_depth = 64;      // nested arrays and objects
  int64_t first_line = 1;  // the number of the text's first line in messages (JSON Lines readers)
};

// Parses the one value in `text`. Errors are kDamaged and located as "<where>:<line>:<column>"
// (column in bytes, from 1).
Json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits = {});

// As parse_json of a whole file; kConfig where the file is absent.
Json read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

}  // namespace rung
