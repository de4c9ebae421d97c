// metrics.jsonl, a chunk at a time: what a million steps take is bounded by what is kept of a row.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "monitor/run_history.h"

namespace rung::monitor {

class MetricsReader {
 public:
  explicit MetricsReader(std::filesystem::path path) : path_(std::move(path)) {}

  // The next bytes of the file. Throws Error kDamaged with the line's number where a complete line
  // is no JSON object, or one is longer than a mebibyte.
  void add(std::string_view bytes);
  // Forgets a line without an end, which may still be cut off; its bytes are to be added again.
  size_t drop_torn_line() { return std::exchange(torn_, {}).size(); }

  int64_t num_lines() const { return num_lines_; }
  const RunHistory& history() const { return history_; }
  void set_outcome(std::optional<Outcome> outcome) { history_.outcome = std::move(outcome); }
  RunHistory take() { return std::move(history_); }

 private:
  struct Highest {
    Bytes peak = 0;
    Bytes own = 0;  // peak less live
  };

  void add_line(std::string_view line);
  void add_step(Step step);
  // Of the steps that may turn out to be the highest.
  void keep_names(Step& step);

  std::filesystem::path path_;  // for messages
  RunHistory history_;
  std::string torn_;  // the line that has no end yet
  int64_t num_lines_ = 0;
  std::optional<Highest> highest_;  // so far, of the process and its settings
  std::deque<int64_t> named_;       // steps that have names
};

}  // namespace rung::monitor
