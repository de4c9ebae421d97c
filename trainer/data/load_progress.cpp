#include "data/load_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <ostream>
#include <system_error>
#include <utility>

#include "base/console.h"
#include "base/units.h"

namespace rung::data {
namespace {

constexpr double kRedrawSeconds = 0.1;

}  // namespace

LoadProgress::LoadProgress(std::ostream& out, LoadProgressOptions options)
    : out_(out), options_(std::move(options)), line_(out), next_line_(options_.quiet_seconds) {}

void LoadProgress::add(int64_t num_records, int64_t num_bytes) {
  num_records_ += num_records;
  num_bytes_ += num_bytes;
  const double seconds = options_.clock();
  if (seconds < next_line_) return;
  show(text(seconds));
  next_line_ = seconds + (options_.in_place ? kRedrawSeconds : options_.line_seconds);
}

void LoadProgress::finish() {
  if (!has_spoken_) return;
  show(fmt::format("data      {} tokenised in {}", format_counted(num_records_, "row"),
                   format_duration(options_.clock())));
  line_.finish();
}

std::string LoadProgress::text(double seconds) const {
  std::string text = fmt::format("data      {} tokenised", format_counted(num_records_, "row"));
  if (options_.total_bytes <= 0 || num_bytes_ <= 0) return text;
  const double share =
      std::min(1.0, static_cast<double>(num_bytes_) / static_cast<double>(options_.total_bytes));
  return text + fmt::format(", {:.0f} %, {} left", 100.0 * share,
                            format_duration(seconds * (1.0 - share) / share));
}

void LoadProgress::show(const std::string& line) {
  has_spoken_ = true;
  if (!options_.in_place) {
    out_ << line << '\n' << std::flush;
    return;
  }
  const int width = options_.width > 0 ? options_.width : terminal_width(STDERR_FILENO);
  line_.draw(line.substr(0, static_cast<size_t>(std::max(width - 1, 0))));
}

int64_t bytes_of(const std::vector<DatasetConfig>& datasets) {
  int64_t bytes = 0;
  for (const DatasetConfig& dataset : datasets) {
    std::error_code absent;
    const auto size = std::filesystem::file_size(dataset.path, absent);
    if (!absent) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

LoadProgressOptions load_progress_options(int64_t total_bytes) {
  return {.total_bytes = total_bytes, .in_place = is_terminal(STDERR_FILENO)};
}

}  // namespace rung::data
