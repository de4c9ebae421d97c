#include "format/safetensors_json.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/error.h"
#include "format/checked.h"

namespace rung::format {

namespace {

constexpr size_t kMaxTensors = size_t{1} << 20;
constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxRank = 8;
constexpr uint64_t kMaxDimension = uint64_t{1} << 40;

// Collects the header while nlohmann parses it. A handler that returns false stops the parser;
// `fault()` then says why. States follow the fixed nesting of the header, so the depth is bounded.
class HeaderHandler {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  HeaderJson header;
  const ErrorParts& fault() const { return fault_; }

  bool null() { return refuse_value("null"); }
  bool boolean(bool) { return refuse_value("a boolean"); }
  bool number_integer(number_integer_t value) { return refuse_value(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) { return refuse_value(text); }
  bool binary(binary_t&) { return refuse_value("binary data"); }

  bool number_unsigned(number_unsigned_t value) {
    if (state_ == State::kShape) return add_dimension(value);
    if (state_ == State::kOffsets) return add_offset(value);
    return refuse_value(std::to_string(value));
  }

  bool string(string_t& text) {
    if (state_ == State::kMetadata) {
      header.metadata[key_] = std::move(text);
      return true;
    }
    if (state_ != State::kTensor || key_ != "dtype") return refuse_value("a string");
    entry_->dtype = dtype_named(text);
    if (entry_->dtype) return true;
    return refuse({.what = "tensor " + in_quotes(tensor_) + " has an unknown dtype",
                   .got = in_quotes(text),
                   .expected = "a safetensors dtype such as F32, F16, BF16 or U8"});
  }

  bool start_object(size_t) {
    if (state_ == State::kOutside) {
      state_ = State::kHeader;
      return true;
    }
    if (state_ != State::kHeader) return refuse_value("an object");
    state_ = tensor_ == "__metadata__" ? State::kMetadata : State::kTensor;
    return true;
  }

  bool end_object() {
    if (state_ == State::kTensor) {
      if (!entry_->dtype || !entry_->shape || !entry_->offsets) {
        return refuse({.what = "tensor " + in_quotes(tensor_) + " is described incompletely",
                       .expected = "dtype, shape and data_offsets"});
      }
    }
    state_ = State::kHeader;
    return true;
  }

  bool start_array(size_t) {
    if (state_ == State::kTensor && key_ == "shape") {
      entry_->shape.emplace();
      state_ = State::kShape;
      return true;
    }
    if (state_ == State::kTensor && key_ == "data_offsets") {
      entry_->offsets.emplace();
      state_ = State::kOffsets;
      return true;
    }
    return refuse_value("a list");
  }

  bool end_array() {
    if (state_ == State::kOffsets && entry_->offsets->size() != 2) return refuse_offset_count();
    state_ = State::kTensor;
    return true;
  }

  bool key(string_t& name) {
    if (state_ == State::kHeader) return begin_entry(name);
    key_ = name;
    if (state_ == State::kMetadata) {
      return !header.metadata.contains(name) || refuse_duplicate("metadata key " + in_quotes(name));
    }
    const bool is_duplicate = (name == "dtype" && entry_->dtype) ||
                              (name == "shape" && entry_->shape) ||
                              (name == "data_offsets" && entry_->offsets);
    if (is_duplicate)
      return refuse_duplicate("key " + in_quotes(name) + " of " + in_quotes(tensor_));
    if (name == "dtype" || name == "shape" || name == "data_offsets") return true;
    return refuse({.what = "tensor " + in_quotes(tensor_) + " has an unknown key",
                   .got = in_quotes(name),
                   .expected = "dtype, shape and data_offsets"});
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) {
    const char* reason = std::strstr(error.what(), "syntax error");
    return refuse({.what = "the safetensors header is not valid JSON",
                   .got = reason != nullptr ? reason : error.what(),
                   .hint = "byte " + std::to_string(position) + " of the header"});
  }

 private:
  enum class State { kOutside, kHeader, kMetadata, kTensor, kShape, kOffsets };

  bool refuse(ErrorParts parts) {
    fault_ = std::move(parts);
    return false;
  }

  bool refuse_duplicate(const std::string& what) {
    return refuse({.what = what + " appears twice in the safetensors header",
                   .hint = "readers disagree on which of the two counts"});
  }

  bool refuse_value(const std::string& got) {
    const auto [what, expected] = [&]() -> std::pair<std::string, std::string> {
      switch (state_) {
        case State::kOutside:
          return {"the safetensors header has the wrong form", "an object"};
        case State::kHeader:
          return {"entry " + in_quotes(tensor_) + " has the wrong form", "an object"};
        case State::kMetadata:
          return {"metadata " + in_quotes(key_) + " has the wrong form", "a string"};
        case State::kTensor:
          return {"'" + key_ + "' of tensor " + in_quotes(tensor_) + " has the wrong form",
                  key_ == "dtype" ? "a string" : "a list of unsigned integers"};
        default:
          return {"'" + key_ + "' of tensor " + in_quotes(tensor_) + " has the wrong form",
                  "unsigned integers only"};
      }
    }();
    return refuse({.what = what, .got = got, .expected = expected});
  }

  bool refuse_offset_count() {
    return refuse({.what = "tensor " + in_quotes(tensor_) + " has wrong data_offsets",
                   .got = std::to_string(entry_->offsets->size()) + " numbers",
                   .expected = "begin and end"});
  }

  bool begin_entry(const std::string& name) {
    if (name.size() > kMaxNameBytes || header.entries.size() >= kMaxTensors) {
      return refuse({.what = "the safetensors header is beyond what a model needs",
                     .got = name.size() > kMaxNameBytes ? "a name longer than 4096 bytes"
                                                        : "more than 1048576 tensors"});
    }
    tensor_ = name;
    key_.clear();
    if (name == "__metadata__") {
      if (std::exchange(has_metadata_, true)) return refuse_duplicate("__metadata__");
      return true;
    }
    const auto [position, is_new] = header.entries.try_emplace(name);
    entry_ = &position->second;
    return is_new || refuse_duplicate("tensor " + in_quotes(name));
  }

  bool add_dimension(uint64_t value) {
    if (entry_->shape->size() < kMaxRank && value <= kMaxDimension) {
      entry_->shape->push_back(static_cast<int64_t>(value));
      return true;
    }
    return refuse({.what = "tensor " + in_quotes(tensor_) + " has an impossible shape",
                   .got = value > kMaxDimension ? "dimension " + std::to_string(value)
                                                : "more than 8 dimensions",
                   .expected = "at most 8 dimensions of at most 2^40"});
  }

  bool add_offset(uint64_t value) {
    const std::optional<int64_t> offset = checked_int64(value);
    if (!offset) return refuse_value(std::to_string(value));
    if (entry_->offsets->size() == 2) {
      entry_->offsets->push_back(0);
      return refuse_offset_count();
    }
    entry_->offsets->push_back(*offset);
    return true;
  }

  State state_ = State::kOutside;
  std::string tensor_;  // key of the entry being read
  std::string key_;     // key inside it
  HeaderEntry* entry_ = nullptr;
  bool has_metadata_ = false;
  ErrorParts fault_;
};

}  // namespace

// Names come from the file and may be long: enough of one to find it by.
std::string in_quotes(const std::string& name) {
  constexpr size_t kShown = 120;
  return "'" + (name.size() <= kShown ? name : name.substr(0, kShown) + "...") + "'";
}

void throw_damaged(ErrorParts parts, const std::string& where) {
  parts.where = where;
  throw Error(ExitCode::kDamaged, std::move(parts));
}

HeaderJson parse_header_json(std::string_view json, const std::string& where) {
  // nlohmann takes NUL for the end of the text and skips a byte order mark; the format has neither.
  const size_t start = json.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos || json[start] != '{' ||
      json.find('\0') != std::string_view::npos) {
    throw_damaged({.what = "the safetensors header is not a JSON object",
                   .expected = "text that begins with '{' and has no NUL byte",
                   .hint = "is this a safetensors file?"},
                  where);
  }
  HeaderHandler handler;
  const bool is_valid = nlohmann::json::sax_parse(json.begin(), json.end(), &handler);
  if (!is_valid) throw_damaged(handler.fault(), where);
  return std::move(handler.header);
}

}  // namespace rung::format
