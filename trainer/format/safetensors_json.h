// The JSON text of a safetensors header as a list of entries; nothing about offsets is checked yet.
//
// Parsed with nlohmann's SAX interface: the DOM keeps the last of two equal keys in silence, and a
// hostile header of 100 MB would grow many times over in it. Refused beyond what the reference
// reader refuses: duplicate keys, unknown keys of a tensor, more than 2^20 tensors or 8 dimensions,
// dimensions beyond 2^40, names longer than 4 KiB.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "format/dtype.h"

namespace rung::format {

struct HeaderEntry {  // all three are set where parse_header_json returned it
  std::optional<DType> dtype;
  std::optional<std::vector<int64_t>> shape;
  std::optional<std::vector<int64_t>> offsets;  // begin and end
};

struct HeaderJson {
  std::map<std::string, HeaderEntry> entries;
  std::map<std::string, std::string> metadata;
};

// Throws Error kDamaged naming `where` and the tensor.
HeaderJson parse_header_json(std::string_view json, const std::string& where);

// A tensor name for a message: names come from the file and may be long.
std::string in_quotes(const std::string& name);

[[noreturn]] void throw_damaged(ErrorParts parts, const std::string& where);

}  // namespace rung::format
