// metrics.jsonl: one JSON object a line, appended as the run goes on.
//
// Numbers that JSON cannot say (nan, inf) become null.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "base/file_descriptor.h"
#include "base/json.h"

namespace rung {

// No row is longer; a longer line is not one of its.
inline constexpr size_t kMaxMetricsRowBytes = size_t{1} << 20;

class MetricsWriter {
 public:
  // Opens `path` for appending and creates it where it is missing. A torn last line (the process
  // was killed while it wrote) is cut off.
  explicit MetricsWriter(std::filesystem::path path);

  // Hands the row to the operating system at once, so that it outlives a crash of the process.
  // Throws Error kDamaged where it cannot be written (disk full).
  void write(const Json& row);

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

// What a checkpoint has behind it. The two differ where the process ended between the last step and
// its evaluation.
struct MetricsPosition {
  int64_t step = 0;            // the last optimizer step
  int64_t evaluated_step = 0;  // the last step with an evaluation
};

// Keeps the rows of evaluations ("kind": "eval") up to position.evaluated_step, other rows up to
// position.step, and rows without a "step"; a resume from there writes the later ones anew. Torn
// lines are dropped. Nothing happens where there is no file.
void truncate_metrics(const std::filesystem::path& path, const MetricsPosition& position);

}  // namespace rung
