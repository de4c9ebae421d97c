// Records of a data set file: JSON Lines, or one JSON array of objects.
//
// The content decides which of the two it is (an array opens with '['), so that a .json file of
// lines works too. Read as a stream: only the current record is held. Blank lines, CR LF and a
// leading UTF-8 byte-order mark are accepted. Not read: Parquet, CSV, compressed files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "base/json.h"

namespace rung::data {

// The text of one record, not parsed yet (so that threads can share that work).
struct RawRecord {
  std::string text;
  int64_t line = 0;  // where it begins, from 1
};

class RecordReader {
 public:
  // Throws Error kConfig where the file is absent, no regular file or of an unknown kind.
  explicit RecordReader(std::filesystem::path path);

  // The next record, nothing at the end. Throws Error: kConfig where a record is longer than
  // kMaxRecordBytes or an array is malformed, kDamaged where the file cannot be read.
  std::optional<RawRecord> next();

  const std::filesystem::path& path() const { return path_; }

  static constexpr size_t kMaxRecordBytes = size_t{64} << 20;

 private:
  enum class Form { kLines, kArray, kArrayEnded };

  int peek();
  int get();
  void skip_space();
  void append(RawRecord& record);
  std::optional<RawRecord> next_line();
  std::optional<RawRecord> next_element();
  void end_array();

  std::filesystem::path path_;
  std::ifstream file_;
  int64_t line_ = 1;
  bool first_element_ = true;
  Form form_ = Form::kLines;
};

// The object in `record`. Throws Error kConfig with file:line:column where it is no JSON object.
Json parse_record(const RawRecord& record, const std::filesystem::path& path);

}  // namespace rung::data
