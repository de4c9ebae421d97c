// Lines of "label     text", long texts wrapped under their beginning.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rung::monitor {

// A share of a bar; `mark` is what its cells are filled with.
struct BarPart {
  char mark = '.';
  int64_t amount = 0;
};

class TextBlock {
 public:
  explicit TextBlock(int width);

  // Control characters and line breaks in `text` are escaped. Nothing is added for an empty text,
  // and no more than `most_lines` of a long one; 0: all.
  void add(std::string_view label, std::string_view text, int most_lines = 0);
  // "part, part, part": broken between parts rather than within one.
  void add_list(std::string_view label, const std::vector<std::string>& parts);
  // "[###++....]": the parts in order, of `total`.
  void add_bar(std::string_view label, const std::vector<BarPart>& parts, int64_t total);

  std::vector<std::string> take() { return std::move(lines_); }

 private:
  size_t room() const { return width_ - label_columns_; }

  size_t width_;
  size_t label_columns_;  // none on a terminal that has no room for them
  std::vector<std::string> lines_;
};

}  // namespace rung::monitor
