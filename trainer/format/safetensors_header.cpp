#include "format/safetensors_header.h"

#include <algorithm>
#include <cassert>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "format/checked.h"
#include "format/safetensors_json.h"

namespace rung::format {

namespace {

// Bytes that dtype and shape ask for.
int64_t implied_bytes(const std::string& name, const HeaderEntry& entry, const std::string& where) {
  const std::optional<int64_t> elements = checked_product(*entry.shape);
  const std::optional<int64_t> bits =
      elements ? checked_mul(*elements, size_in_bits(*entry.dtype)) : std::nullopt;
  if (!bits) {
    throw_damaged({.what = "the size of tensor " + in_quotes(name) + " overflows"}, where);
  }
  if (*bits % 8 != 0) {
    throw_damaged({.what = "tensor " + in_quotes(name) + " does not fill whole bytes",
                   .got = std::to_string(*bits) + " bits",
                   .expected = "a multiple of 8"},
                  where);
  }
  return *bits / 8;
}

using EntryOfName = std::map<std::string, HeaderEntry>::const_pointer;

std::vector<EntryOfName> sorted_by_offset(const std::map<std::string, HeaderEntry>& entries) {
  std::vector<EntryOfName> order;
  order.reserve(entries.size());
  for (const auto& entry : entries) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](EntryOfName a, EntryOfName b) {
    return *a->second.offsets < *b->second.offsets;
  });
  return order;
}

// Every tensor begins where the one before it ends and is as long as it says; returns the last end.
int64_t check_layout(const std::vector<EntryOfName>& order, const std::string& where) {
  int64_t previous_end = 0;
  for (const EntryOfName entry : order) {
    const int64_t begin = entry->second.offsets->at(0);
    const int64_t end = entry->second.offsets->at(1);
    if (begin != previous_end || end < begin) {
      throw_damaged(
          {.what = "tensor " + in_quotes(entry->first) + " leaves a hole or overlaps",
           .got = "data_offsets [" + std::to_string(begin) + ", " + std::to_string(end) + "]",
           .expected =
               "begin " + std::to_string(previous_end) + ", where the tensor before it ends"},
          where);
    }
    const int64_t bytes = implied_bytes(entry->first, entry->second, where);
    if (end - begin != bytes) {
      throw_damaged(
          {.what = "the data of tensor " + in_quotes(entry->first) + " does not match its shape",
           .got = std::to_string(end - begin) + " bytes",
           .expected = std::to_string(bytes)},
          where);
    }
    previous_end = end;
  }
  return previous_end;
}

}  // namespace

int64_t TensorInfo::num_elements() const {
  const std::optional<int64_t> elements = checked_product(shape);
  assert(elements);  // checked when the header was read
  return *elements;
}

int64_t TensorSpec::num_bytes() const {
  const std::optional<int64_t> elements = checked_product(shape);
  if (!elements) throw_overflow(name);
  return mul_or_throw(*elements, size_in_bytes(dtype), name);
}

SafetensorsHeader parse_safetensors_header(const HeaderSource& source) {
  HeaderJson json = parse_header_json(source.json, source.where);
  const int64_t end = check_layout(sorted_by_offset(json.entries), source.where);
  if (end != source.data_bytes) {
    throw_damaged(
        {.what = end > source.data_bytes ? "the safetensors file is cut short"
                                         : "the safetensors file has bytes behind its data",
         .got = std::to_string(source.data_bytes) + " bytes of data",
         .expected = std::to_string(end),
         .hint = "download or copy it again"},
        source.where);
  }
  SafetensorsHeader header;
  header.metadata = std::move(json.metadata);
  for (auto& [name, entry] : json.entries) {
    const int64_t begin = entry.offsets->at(0);
    header.tensors.emplace(name, TensorInfo{.dtype = *entry.dtype,
                                            .shape = std::move(*entry.shape),
                                            .offset = source.data_begin + begin,
                                            .bytes = entry.offsets->at(1) - begin});
  }
  return header;
}

bool is_written_before(const TensorSpec& a, const TensorSpec& b) {
  return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name;
}

std::string make_safetensors_header(const std::vector<TensorSpec>& tensors,
                                    const std::map<std::string, std::string>& metadata) {
  const auto as_json = [](const std::string& text) { return nlohmann::json(text).dump(); };
  std::string json = "{";
  if (!metadata.empty()) json += "\"__metadata__\":" + nlohmann::json(metadata).dump();
  int64_t begin = 0;
  for (const TensorSpec& tensor : tensors) {
    const int64_t end = add_or_throw(begin, tensor.num_bytes(), tensor.name);
    if (json.size() > 1) json += ',';
    json += as_json(tensor.name) + ":{\"dtype\":" + as_json(std::string(name_of(tensor.dtype))) +
            ",\"shape\":" + nlohmann::json(tensor.shape).dump() + ",\"data_offsets\":[" +
            std::to_string(begin) + ',' + std::to_string(end) + "]}";
    begin = end;
  }
  json += '}';
  json.resize((json.size() + 7) / 8 * 8, ' ');

  uint64_t length = json.size();
  std::string header;
  for (int i = 0; i < 8; ++i, length >>= 8) header += static_cast<char>(length & 0xff);
  return header + json;
}

}  // namespace rung::format
