// metrics.jsonl: one JSON object a line, appended as the run goes on.
//
// Numbers that JSON cannot say (nan, inf) become null.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/file_descriptor.h"
#include "base/json.h"

namespace rung {

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

// Keeps the rows of steps up to `step` (and rows without a "step"); a resume from `step` writes the
// later ones anew. Torn lines are dropped. Nothing happens where there is no file.
void truncate_after_step(const std::filesystem::path& path, int64_t step);

}  // namespace rung
