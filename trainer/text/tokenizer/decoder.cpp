#include "text/tokenizer/decoder.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/split_pattern.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

using Tokens = std::vector<std::string>;

constexpr const char* kReplacement = "\xef\xbf\xbd";  // U+FFFD

// The byte of "<0x0A>", absent for other tokens.
std::optional<char> read_byte_token(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  uint8_t byte = 0;
  const char* end = token.data() + 5;
  const auto result = std::from_chars(token.data() + 3, end, byte, 16);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return static_cast<char>(byte);
}

// The text of `bytes`, or one U+FFFD a byte where it is no valid UTF-8.
void append_run(std::string& bytes, Tokens& tokens) {
  if (bytes.empty()) return;
  if (find_invalid_utf8(bytes)) {
    tokens.insert(tokens.end(), bytes.size(), kReplacement);
  } else {
    tokens.push_back(bytes);
  }
  bytes.clear();
}

void join_bytes(Tokens& tokens) {
  Tokens joined;
  std::string run;
  for (std::string& token : tokens) {
    if (const auto byte = read_byte_token(token)) {
      run += *byte;
      continue;
    }
    append_run(run, joined);
    joined.push_back(std::move(token));
  }
  append_run(run, joined);
  tokens = std::move(joined);
}

void read_bytes(const ByteAlphabet& alphabet, Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) bytes += alphabet.read(token).value_or(token);
  tokens = {replace_invalid_utf8(bytes)};
}

void fuse(Tokens& tokens) {
  std::string fused;
  for (const std::string& token : tokens) fused += token;
  tokens = {std::move(fused)};
}

struct StripOptions {
  std::string content;
  int32_t start = 0;  // at most so many
  int32_t stop = 0;
};

void strip(const StripOptions& options, std::string& token) {
  const size_t width = options.content.size();
  size_t begin = 0;
  size_t end = token.size();
  for (int32_t i = 0; i < options.start; ++i, begin += width) {
    if (token.compare(begin, width, options.content) != 0) break;
  }
  for (int32_t i = 0; i < options.stop && end >= begin + width; ++i, end -= width) {
    if (token.compare(end - width, width, options.content) != 0) break;
  }
  token = token.substr(begin, end - begin);
}

void replace_all(const Pattern& pattern, const std::string& content, std::string& token) {
  if (token.empty()) return;
  std::string replaced;
  for (const Stretch& stretch : pattern.find(token)) {
    if (stretch.matched) {
      replaced += content;
    } else {
      replaced.append(token, stretch.begin, stretch.end - stretch.begin);
    }
  }
  token = std::move(replaced);
}

// Marks become spaces; those of the first token vanish where encoding put one there.
void unmark(const std::string& mark, bool drop_first, Tokens& tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view space = i == 0 && drop_first ? "" : " ";
    std::string text;
    for (size_t k = 0; k < tokens[i].size();) {
      const size_t length = code_point_at(tokens[i], k).length;
      const std::string_view character = std::string_view(tokens[i]).substr(k, length);
      text += character == mark ? space : character;
      k += length;
    }
    tokens[i] = std::move(text);
  }
}

void replace_suffix(const std::string& suffix, Tokens& tokens) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view space = i + 1 == tokens.size() ? "" : " ";
    for (size_t at = tokens[i].find(suffix); at != std::string::npos;
         at = tokens[i].find(suffix, at + space.size())) {
      tokens[i].replace(at, suffix.size(), space);
    }
  }
}

bool drops_first_mark(const JsonField& field) {
  const bool prefixed = field["add_prefix_space"].boolean_or(true);
  return prefixed && field["prepend_scheme"].string_or("always") != "never";
}

}  // namespace

Decoder::Decoder(const JsonField& field) : joins_(field.is_null()) {
  if (!joins_) read(field);
}

void Decoder::read(const JsonField& field) {
  const std::string& type = field.type();
  if (type == "Sequence") {
    for (const JsonField& element : field["decoders"].elements()) read(element);
  } else if (type == "ByteLevel") {
    steps_.push_back([alphabet = ByteAlphabet()](Tokens& t) { read_bytes(alphabet, t); });
  } else if (type == "ByteFallback") {
    byte_fallback_ = true;
    steps_.push_back(join_bytes);
  } else if (type == "Fuse") {
    steps_.push_back(fuse);
  } else if (type == "Strip") {
    const StripOptions options{.content = to_utf8(field["content"].character()),
                               .start = field["start"].integer(kMaxTokenId),
                               .stop = field["stop"].integer(kMaxTokenId)};
    steps_.push_back([options](Tokens& tokens) {
      for (std::string& token : tokens) strip(options, token);
    });
  } else if (type == "Replace") {
    const auto pattern = std::make_shared<const Pattern>(field["pattern"]);
    steps_.push_back([pattern, content = field["content"].string()](Tokens& tokens) {
      for (std::string& token : tokens) replace_all(*pattern, content, token);
    });
  } else if (type == "Metaspace") {
    steps_.push_back([mark = to_utf8(field["replacement"].character()),
                      drop = drops_first_mark(field)](Tokens& t) { unmark(mark, drop, t); });
  } else if (type == "BPEDecoder") {
    const std::string suffix = field["suffix"].string();
    if (suffix.empty()) field["suffix"].refuse("an empty suffix");
    steps_.push_back([suffix](Tokens& tokens) { replace_suffix(suffix, tokens); });
  } else {
    field.refuse("the decoder " + type);
  }
}

std::string Decoder::decode(std::vector<std::string> tokens) const {
  for (const Step& step : steps_) step(tokens);
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (joins_ && i > 0) text += ' ';
    text += tokens[i];
  }
  return text;
}

bool Decoder::waits_behind(std::string_view token) const {
  return byte_fallback_ && read_byte_token(token).has_value();
}

}  // namespace rung::text
