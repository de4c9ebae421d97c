// Regular expressions of tokenizer files: Oniguruma with Ruby syntax, as Hugging Face's library
// has it.
//
// A search that backtracks beyond the limits below throws instead of running on: patterns come
// with models from strangers. Thread safe: a compiled pattern is only read.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rung::text {

struct Match {
  size_t begin = 0;
  size_t end = 0;
};

class Regex {
 public:
  // Throws Error kDamaged with the reason where `pattern` does not compile; `where` names the place
  // it stands in.
  Regex(std::string pattern, std::string where);

  // All matches in `text` (valid UTF-8) from left to right, not overlapping; an empty match right
  // behind the previous match does not count. Throws Error kConfig where a limit is hit.
  std::vector<Match> find_all(std::string_view text) const;

  const std::string& pattern() const { return pattern_; }

 private:
  struct Program;
  struct Free {
    void operator()(Program* program) const;
  };

  std::string pattern_;
  std::string where_;
  std::unique_ptr<Program, Free> program_;
};

}  // namespace rung::text
