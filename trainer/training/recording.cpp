#include "training/recording.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <exception>
#include <string>

#include "training/failure.h"

namespace rung::training {
namespace {

// A message of several lines (base/error_list.h) as one.
std::string in_a_line(const std::string& message) {
  std::string line;
  for (size_t begin = 0; begin < message.size();) {
    const size_t end = std::min(message.find('\n', begin), message.size());
    if (begin > 0) line += "; ";
    line += message.substr(begin, end - begin);
    begin = message.find_first_not_of("\n ", end);
  }
  return line;
}

void write_outcome(const Recording& to, ExitCode code, const std::string& reason) {
  RunRecord& record = to.record;
  record.exit_code = code;
  record.exit_reason = reason;
  record.peak_by_phase = to.peaks.finish();
  for (const auto& [phase, peak] : record.peak_by_phase) {
    record.measured_peak = std::max(record.measured_peak, peak);
  }
  write_run_record(to.output_dir, record);
}

}  // namespace

ExitCode recorded(const Recording& to, const std::function<ExitCode()>& body) {
  try {
    const ExitCode code = body();
    write_outcome(to, code,
                  code == ExitCode::kOk ? "done" : "stopped on request, checkpoint saved");
    return code;
  } catch (...) {
    if (to.record.is_earlier_run_there) throw;
    const Failure failure = current_failure();
    try {
      write_outcome(to, failure.code, in_a_line(failure.message));
    } catch (const std::exception& error) {  // the first failure is the one to be told
      fmt::print(to.log, "warning: run.json cannot be written: {}\n", error.what());
    }
    throw;
  }
}

}  // namespace rung::training
