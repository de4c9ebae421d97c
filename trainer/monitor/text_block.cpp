#include "monitor/text_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/console.h"

namespace rung::monitor {
namespace {

constexpr size_t kLabelColumns = 10;
constexpr size_t kWidestBar = 62;

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

// Columns of a character by its first byte: those beyond ASCII may be wide.
size_t columns_of(char lead) { return static_cast<unsigned char>(lead) < 0x80 ? 1 : 2; }

// The end of the longest beginning of `text` in `room` columns, behind a blank where there is one;
// at least one character.
size_t fitting_end(std::string_view text, size_t room) {
  size_t columns = 0;
  size_t behind_blank = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (is_continuation(text[at])) continue;
    if (text[at] == ' ') behind_blank = at + 1;  // a blank at the end may be cut off
    columns += columns_of(text[at]);
    if (columns > room && at > 0) return behind_blank > 0 ? behind_blank : at;
  }
  return text.size();
}

// A tab is as wide as the terminal likes.
std::string escaped_line(std::string_view text) {
  std::string line;
  for (const char byte : one_line(text)) {
    if (byte == '\t') {
      line += "\\x09";
    } else {
      line += byte;
    }
  }
  return line;
}

}  // namespace

TextBlock::TextBlock(int width)
    : width_(static_cast<size_t>(std::max(width, 1))),
      label_columns_(width_ >= 2 * kLabelColumns ? kLabelColumns : 0) {}

void TextBlock::add(std::string_view label, std::string_view text, int most_lines) {
  if (text.empty()) return;
  std::string escaped = escaped_line(text);
  std::string begin = fmt::format("{:<{}}", label, label_columns_);
  if (label_columns_ == 0) escaped = std::exchange(begin, "") + " " + escaped;
  std::string_view rest = escaped;
  for (int count = 1; !rest.empty(); ++count) {
    const size_t end = fitting_end(rest, room());
    std::string line(rest.substr(0, end));
    rest.remove_prefix(end);
    const bool is_cut = count == most_lines && !rest.empty();
    if (is_cut && room() > 3) {
      line.resize(fitting_end(line, room() - 3));
      while (line.ends_with(' ')) line.pop_back();
      line += "...";
    }
    while (line.ends_with(' ')) line.pop_back();
    lines_.push_back(begin + line);
    begin.assign(label_columns_, ' ');
    if (is_cut) return;
  }
}

void TextBlock::add_list(std::string_view label, const std::vector<std::string>& parts) {
  std::string line;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string part = parts[i] + (i + 1 < parts.size() ? "," : "");
    if (!line.empty() && line.size() + 1 + part.size() > room()) {
      add(std::exchange(label, ""), std::exchange(line, ""));
    }
    line += (line.empty() ? "" : " ") + part;
  }
  add(label, line);
}

void TextBlock::add_bar(std::string_view label, const std::vector<BarPart>& parts, int64_t total) {
  if (total <= 0 || room() <= 2) return;
  const size_t cells = std::min(kWidestBar, room()) - 2;
  std::string bar;
  int64_t amount = 0;
  for (const BarPart& part : parts) {
    // Rounded in sum, so that the parts end where they should.
    amount += std::max<int64_t>(0, part.amount);
    const double share = static_cast<double>(amount) / static_cast<double>(total);
    const auto end =
        static_cast<size_t>(std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(cells)));
    if (end > bar.size()) bar.append(end - bar.size(), part.mark);
  }
  bar.append(cells - bar.size(), '.');
  add(label, "[" + bar + "]");
}

}  // namespace rung::monitor
