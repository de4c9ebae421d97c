#include "data/load_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/units.h"

namespace rung::data {

LoadProgress::LoadProgress(std::ostream& out, int64_t total_bytes, WaitingLineOptions options)
    : line_(out, std::move(options)), total_bytes_(total_bytes) {}

void LoadProgress::add(int64_t num_records, int64_t num_bytes) {
  num_records_ += num_records;
  num_bytes_ += num_bytes;
  if (line_.is_due()) line_.show(text());
}

void LoadProgress::finish() {
  line_.finish(fmt::format("data      {} tokenised in {}", format_counted(num_records_, "row"),
                           format_duration(line_.seconds())));
}

std::string LoadProgress::text() const {
  std::string text = fmt::format("data      {} tokenised", format_counted(num_records_, "row"));
  if (total_bytes_ <= 0 || num_bytes_ <= 0) return text;
  const double share =
      std::min(1.0, static_cast<double>(num_bytes_) / static_cast<double>(total_bytes_));
  return text + share_text(share, line_.seconds());
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

}  // namespace rung::data
