#include "base/json.h"

#include <fmt/format.h>

#include <iterator>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace rung {
namespace {

// Walks the text and leaves its furthest position where the handler can see it: the library
// reports positions for its own errors only, not for those that a handler finds.
class TrackingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackingIterator(const char* position, const char** furthest)
      : position_(position), furthest_(furthest) {}

  reference operator*() const { return *position_; }
  TrackingIterator& operator++() {
    *furthest_ = ++position_;
    return *this;
  }
  TrackingIterator operator++(int) {
    TrackingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const TrackingIterator& other) const { return position_ == other.position_; }
  bool operator!=(const TrackingIterator& other) const { return position_ != other.position_; }

 private:
  const char* position_;
  const char** furthest_;
};

// The keys of one object under construction. Most objects have few keys, for which a scan beats a
// hash set; from kScanned keys on the set is kept.
class KeySet {
 public:
  // False where `key` is in `object` already.
  bool insert(const Json::object_t& object, const std::string& key) {
    if (object.size() < kScanned) {
      for (const auto& entry : object) {
        if (entry.first == key) return false;
      }
      return true;
    }
    if (seen_.empty()) {
      for (const auto& entry : object) seen_.insert(entry.first);
    }
    return seen_.insert(key).second;
  }

 private:
  static constexpr size_t kScanned = 16;
  std::unordered_set<std::string> seen_;
};

// Builds the value from the library's events; every handler returns false to stop the parse, with
// the reason in `problem`.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(int max_depth) : max_depth_(max_depth) {}

  bool null() override { return add(Json(nullptr)); }
  bool boolean(bool value) override { return add(Json(value)); }
  bool number_integer(number_integer_t value) override { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return add(Json(value)); }
  bool string(string_t& value) override { return add(Json(std::move(value))); }
  bool binary(binary_t&) override { return false; }  // not reachable from JSON text

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    Level& level = levels_.back();
    if (!level.keys.insert(level.value.get_ref<Json::object_t&>(), name)) {
      problem = fmt::format("duplicate key \"{}\"", name);
      return false;
    }
    level.key = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    error_position = position;
    // The library's text opens with "[json.exception...] parse error at line 1, column 2: " and
    // we say the place ourselves.
    const std::string text = error.what();
    const size_t colon = text.find(": ");
    const size_t bracket = text.find("] ");
    problem = colon != std::string::npos     ? text.substr(colon + 2)
              : bracket != std::string::npos ? text.substr(bracket + 2)
                                             : text;
    return false;
  }

  Json result;
  std::string problem;
  size_t error_position = 0;  // bytes read when the library stopped; 0 = a handler stopped

 private:
  struct Level {
    Json value;       // object or array
    std::string key;  // of an object: the key whose value comes next
    KeySet keys;
  };

  bool open(Json value) {
    if (static_cast<int>(levels_.size()) >= max_depth_) {
      problem = fmt::format("nested deeper than {} levels", max_depth_);
      return false;
    }
    levels_.push_back({.value = std::move(value), .key = {}, .keys = {}});
    return true;
  }

  bool close() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    return add(std::move(value));
  }

  bool add(Json value) {
    if (levels_.empty()) {
      result = std::move(value);
      return true;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      level.value.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      // The map's own insertion would scan all its keys; KeySet has checked this one already.
      level.value.get_ref<Json::object_t&>().emplace_back(std::move(level.key), std::move(value));
    }
    return true;
  }

  int max_depth_;
  std::vector<Level> levels_;
};

// "<where>:<line>:<column>" of the byte at `offset`.
std::string locate(std::string_view text, size_t offset, const std::string& where,
                   int64_t first_line) {
  int64_t line = first_line;
  size_t line_start = 0;
  for (size_t i = 0; i < std::min(offset, text.size()); ++i) {
    if (text[i] != '\n') continue;
    ++line;
    line_start = i + 1;
  }
  return fmt::format("{}:{}:{}", where, line, offset - line_start + 1);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    throw Error(ExitCode::kDamaged, {.what = "the JSON text is too large",
                                     .got = fmt::format("{} bytes", text.size()),
                                     .expected = fmt::format("at most {} bytes", limits.max_bytes),
                                     .where = where});
  }
  const char* furthest = text.data();
  Builder builder(limits.max_depth);
  const bool parsed =
      Json::sax_parse(TrackingIterator(text.data(), &furthest),
                      TrackingIterator(text.data() + text.size(), &furthest), &builder);
  if (parsed) return std::move(builder.result);

  const size_t read = builder.error_position != 0 ? builder.error_position
                                                  : static_cast<size_t>(furthest - text.data());
  throw Error(ExitCode::kDamaged,
              {.what = "malformed JSON: " + builder.problem,
               .where = locate(text, read == 0 ? 0 : read - 1, where, limits.first_line)});
}

Json read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_text_file(path, limits.max_bytes), path.string(), limits);
}

}  // namespace rung
