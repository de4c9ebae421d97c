#include "base/metrics.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <utility>

#include "base/disk.h"
#include "base/error.h"
#include "base/publish.h"

namespace rung {
namespace {

// Where the last complete line of the file ends.
off_t end_of_last_line(const FileDescriptor& file, const std::filesystem::path& path) {
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size < 0) throw_disk_error("the file cannot be read", path);
  char buffer[4096];
  off_t end = size;
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(sizeof(buffer)));
    const ssize_t count = ::pread(file.get(), buffer, static_cast<size_t>(end - begin), begin);
    if (count != end - begin) throw_disk_error("the file cannot be read", path);
    for (ssize_t i = count; i > 0; --i) {
      if (buffer[i - 1] == '\n') return begin + i;
    }
    end = begin;
  }
  return 0;
}

bool lies_behind(const std::string& line, const MetricsPosition& position) {
  if (line.size() > kMaxMetricsRowBytes) return false;
  const Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return false;
  const auto step = row.find("step");
  if (step == row.end() || !step->is_number_integer()) return true;
  const bool is_evaluation = row.value("kind", Json()) == "eval";
  return *step <= (is_evaluation ? position.evaluated_step : position.step);
}

}  // namespace

MetricsWriter::MetricsWriter(std::filesystem::path path)
    : path_(std::move(path)),
      file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (!file_.is_open()) throw_disk_error("the file cannot be opened", path_);
  if (::ftruncate(file_.get(), end_of_last_line(file_, path_)) != 0) {
    throw_disk_error("the file cannot be written", path_);
  }
}

void MetricsWriter::write(const Json& row) {
  // dump() writes nan and inf as null.
  const std::string line = row.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  write_all(file_, line, path_);
}

void truncate_metrics(const std::filesystem::path& path, const MetricsPosition& position) {
  std::ifstream input(path, std::ios::binary);
  if (!input) return;
  StagedFile staged(path);
  std::ofstream output(staged.path(), std::ios::binary);
  std::string line;
  while (std::getline(input, line)) {
    const bool is_torn = input.eof();  // no newline behind it
    if (!is_torn && lies_behind(line, position)) output << line << '\n';
  }
  if (!output.flush()) throw_disk_error("the file cannot be written", path);
  output.close();
  staged.publish();
}

}  // namespace rung
