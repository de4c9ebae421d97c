#include "text/jinja/string_split.h"

#include <algorithm>

namespace rung::text::jinja {
namespace {

std::vector<std::string_view> split_words_left(std::string_view text, int64_t max_splits) {
  std::vector<std::string_view> words;
  text = strip(text, "", Side::kLeft);
  while (!text.empty()) {
    if (max_splits >= 0 && static_cast<int64_t>(words.size()) >= max_splits) {
      words.push_back(text);  // with the white space at its end
      break;
    }
    size_t end = 0;
    while (end < text.size()) {
      size_t after = end;
      if (is_space(next_code_point(text, after))) break;
      end = after;
    }
    words.push_back(text.substr(0, end));
    text = strip(text.substr(end), "", Side::kLeft);
  }
  return words;
}

std::vector<std::string_view> split_words_right(std::string_view text, int64_t max_splits) {
  if (max_splits < 0) return split_words_left(text, max_splits);
  std::vector<std::string_view> words;
  text = strip(text, "", Side::kRight);
  while (!text.empty()) {
    if (static_cast<int64_t>(words.size()) >= max_splits) {
      words.push_back(text);  // with the white space at its beginning
      break;
    }
    size_t begin = text.size();
    while (begin > 0) {
      size_t before = begin - 1;
      while (before > 0 && (static_cast<unsigned char>(text[before]) & 0xc0) == 0x80) --before;
      size_t after = before;
      if (is_space(next_code_point(text, after))) break;
      begin = before;
    }
    words.push_back(text.substr(begin));
    text = strip(text.substr(0, begin), "", Side::kRight);
  }
  std::reverse(words.begin(), words.end());
  return words;
}

}  // namespace

std::vector<std::string_view> split_text(std::string_view text, const SplitOptions& options) {
  if (options.separator.empty()) {
    return options.from == Side::kLeft ? split_words_left(text, options.max_splits)
                                       : split_words_right(text, options.max_splits);
  }
  std::vector<std::string_view> parts;
  const size_t size = options.separator.size();
  const auto more = [&] {
    return options.max_splits < 0 || static_cast<int64_t>(parts.size()) < options.max_splits;
  };
  if (options.from == Side::kLeft) {
    for (size_t at = 0; more() && (at = text.find(options.separator)) != std::string_view::npos;) {
      parts.push_back(text.substr(0, at));
      text = text.substr(at + size);
    }
    parts.push_back(text);
    return parts;
  }
  for (size_t at = 0; more() && (at = text.rfind(options.separator)) != std::string_view::npos;) {
    parts.push_back(text.substr(at + size));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::string replace_all(Runtime& runtime, std::string_view text, const Replacement& replacement) {
  const auto& [from, to, max_count] = replacement;
  std::string out;
  int64_t done = 0;
  size_t at = 0;
  while (max_count < 0 || done < max_count) {
    size_t match = at;
    if (from.empty()) {
      // Before the first character, between any two, after the last.
      if (done > 0) {
        if (at >= text.size()) break;
        next_code_point(text, match);
      }
    } else {
      match = text.find(from, at);
      if (match == std::string_view::npos) break;
    }
    out += text.substr(at, match - at);
    out += to;
    runtime.charge_text(match - at + to.size());
    if (out.size() > runtime.limits().max_text) runtime.charge_text(out.size());
    at = match + from.size();
    ++done;
  }
  out += text.substr(at);
  return out;
}

}  // namespace rung::text::jinja
