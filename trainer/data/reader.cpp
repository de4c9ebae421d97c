#include "data/reader.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"

namespace rung::data {
namespace {

constexpr int kEnd = std::char_traits<char>::eof();

bool is_space(int byte) { return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n'; }

std::string at_line(const std::filesystem::path& path, int64_t line) {
  return fmt::format("{}:{}", path.string(), line);
}

void check_path(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    throw Error(ExitCode::kConfig, {.what = "the data set does not exist",
                                    .hint = "datasets: path counts from the working directory",
                                    .where = path.string()});
  }
  if (!std::filesystem::is_regular_file(path, ignored)) {
    throw Error(ExitCode::kConfig, {.what = "the data set is not a file",
                                    .expected = "a .jsonl or .json file",
                                    .where = path.string()});
  }
  const std::string extension = path.extension().string();
  if (extension != ".jsonl" && extension != ".json" && extension != ".ndjson") {
    throw Error(ExitCode::kConfig, {.what = "the kind of the data set is not supported",
                                    .got = fmt::format("\"{}\"", extension),
                                    .expected = ".jsonl or .json",
                                    .where = path.string()});
  }
}

// Where an array's element ends: at the comma or bracket outside of strings and of inner values.
// Whether the element is sound JSON is for the parser to say.
class ElementScanner {
 public:
  bool ends_before(int byte) const {
    return !in_string_ && depth_ == 0 && (byte == ',' || byte == ']');
  }
  void pass(int byte) {
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (byte == '\\') {
        escaped_ = true;
      } else if (byte == '"') {
        in_string_ = false;
      }
    } else if (byte == '"') {
      in_string_ = true;
    } else if (byte == '{' || byte == '[') {
      ++depth_;
    } else if ((byte == '}' || byte == ']') && depth_ > 0) {
      --depth_;
    }
  }

 private:
  int64_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace

RecordReader::RecordReader(std::filesystem::path path) : path_(std::move(path)) {
  check_path(path_);
  file_.open(path_, std::ios::binary);
  if (!file_) {
    throw Error(ExitCode::kConfig, {.what = "cannot open the data set", .where = path_.string()});
  }
  char mark[3] = {};
  file_.read(mark, 3);
  if (!file_ || std::string_view(mark, 3) != "\xef\xbb\xbf") {
    file_.clear();
    file_.seekg(0);
  }
  skip_space();
  if (peek() == '[') {
    form_ = Form::kArray;
    get();
  }
}

std::optional<RawRecord> RecordReader::next() {
  try {
    switch (form_) {
      case Form::kLines:
        return next_line();
      case Form::kArray:
        return next_element();
      case Form::kArrayEnded:
        break;
    }
  } catch (const std::ios_base::failure& failure) {
    throw Error(ExitCode::kDamaged, {.what = "cannot read the data set",
                                     .got = failure.code().message(),
                                     .where = at_line(path_, line_)});
  }
  return std::nullopt;
}

int RecordReader::peek() { return file_.rdbuf()->sgetc(); }

int RecordReader::get() {
  const int byte = file_.rdbuf()->sbumpc();
  if (byte == '\n') ++line_;
  return byte;
}

void RecordReader::skip_space() {
  while (is_space(peek())) get();
}

void RecordReader::append(RawRecord& record) {
  if (record.text.size() >= kMaxRecordBytes) {
    throw Error(ExitCode::kConfig,
                {.what = "a record of the data set is too long",
                 .expected = fmt::format("at most {} MiB", kMaxRecordBytes >> 20),
                 .hint = "one JSON object a line, or an array of objects",
                 .where = at_line(path_, record.line)});
  }
  record.text += static_cast<char>(get());
}

std::optional<RawRecord> RecordReader::next_line() {
  skip_space();
  if (peek() == kEnd) return std::nullopt;
  RawRecord record{.text = {}, .line = line_};
  while (peek() != kEnd && peek() != '\n') append(record);
  return record;
}

std::optional<RawRecord> RecordReader::next_element() {
  skip_space();
  if (first_element_ && peek() == ']') {
    end_array();
    return std::nullopt;
  }
  first_element_ = false;
  RawRecord record{.text = {}, .line = line_};
  ElementScanner scanner;
  while (peek() != kEnd && !scanner.ends_before(peek())) {
    scanner.pass(peek());
    append(record);
  }
  if (peek() == kEnd) {
    throw Error(ExitCode::kConfig,
                {.what = "the JSON array is not closed",
                 .got = "the end of the file",
                 .expected = "']'",
                 .hint = "the file may be cut off; its last record begins at the line given",
                 .where = at_line(path_, record.line)});
  }
  if (peek() == ']') {
    end_array();
  } else {
    get();
  }
  return record;
}

// Takes the closing bracket; nothing may follow it.
void RecordReader::end_array() {
  get();
  form_ = Form::kArrayEnded;
  skip_space();
  if (peek() != kEnd) {
    throw Error(ExitCode::kConfig, {.what = "there is text behind the JSON array",
                                    .expected = "the end of the file",
                                    .where = at_line(path_, line_)});
  }
}

Json parse_record(const RawRecord& record, const std::filesystem::path& path) {
  Json value;
  try {
    value = parse_json(record.text, path.string(),
                       {.max_bytes = RecordReader::kMaxRecordBytes, .first_line = record.line});
  } catch (const Error& error) {
    // A datum that the user can correct, not a file that the disk has damaged.
    ErrorParts parts = error.parts();
    parts.hint = "each record is one JSON object: on one line of its own, or in one array";
    throw Error(ExitCode::kConfig, std::move(parts));
  }
  if (!value.is_object()) {
    throw Error(ExitCode::kConfig, {.what = "a record of the data set is not an object",
                                    .got = value.type_name(),
                                    .expected = "one JSON object",
                                    .where = at_line(path, record.line)});
  }
  return value;
}

}  // namespace rung::data
