#include "monitor/text_block.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/console.h"

namespace rung::monitor {
namespace {

constexpr size_t kLabelColumns = 10;
constexpr size_t kNarrowest = 30;  // columns; below that a terminal shows what fits
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

}  // namespace

TextBlock::TextBlock(int width)
    : width_(std::max(kNarrowest, static_cast<size_t>(std::max(width, 0)))) {}

void TextBlock::add(std::string_view label, std::string_view text) {
  const std::string escaped = one_line(text);
  std::string_view rest = escaped;
  std::string begin = fmt::format("{:<{}}", label, kLabelColumns);
  while (!rest.empty()) {
    const size_t end = fitting_end(rest, width_ - kLabelColumns);
    std::string_view line = rest.substr(0, end);
    while (line.ends_with(' ')) line.remove_suffix(1);
    lines_.push_back(begin + std::string(line));
    rest.remove_prefix(end);
    begin.assign(kLabelColumns, ' ');
  }
}

void TextBlock::add_list(std::string_view label, const std::vector<std::string>& parts) {
  std::string line;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string part = parts[i] + (i + 1 < parts.size() ? "," : "");
    if (!line.empty() && line.size() + 1 + part.size() > width_ - kLabelColumns) {
      add(std::exchange(label, ""), std::exchange(line, ""));
    }
    line += (line.empty() ? "" : " ") + part;
  }
  add(label, line);
}

void TextBlock::add_bar(std::string_view label, const std::vector<BarPart>& parts, int64_t total) {
  if (total <= 0) return;
  const size_t cells = std::min(kWidestBar, width_ - kLabelColumns) - 2;
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
