#include "data/record_faults.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

#include "base/error_list.h"
#include "base/units.h"

namespace rung::data {
namespace {

constexpr size_t kMostShown = 10;

// Those of an Error kConfig; anything else is thrown on.
ErrorParts parts_of(const std::exception_ptr& fault) {
  try {
    std::rethrow_exception(fault);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kConfig) throw;
    return error.parts();
  }
}

}  // namespace

void RecordFaults::add(const std::exception_ptr& fault) {
  ErrorParts parts = parts_of(fault);
  ++count_;
  if (!since_first_) since_first_.emplace();
  if (first_.size() < kMostShown) first_.push_back(std::move(parts));
}

void RecordFaults::end_file(const std::exception_ptr& fault) { ended_.push_back(parts_of(fault)); }

bool RecordFaults::are_enough() const {
  return first_.size() >= kMostShown || (since_first_ && since_first_->seconds() > patience_);
}

// The last line: "and 1,014 more; reading ended at a.jsonl:1024, and more may follow".
std::string RecordFaults::rest() const {
  std::vector<std::string> parts;
  if (const int64_t more = count_ - std::ssize(first_); more > 0) {
    parts.push_back(fmt::format("and {} more", format_count(more)));
  }
  for (const ErrorParts& end : ended_) {
    parts.push_back(fmt::format("reading ended at {}: {}", end.where, end.what));
  }
  if (!stopped_.empty()) {
    parts.push_back(fmt::format("reading ended {}, and more may follow", stopped_));
  }
  return escape_for_terminal(fmt::format("{}", fmt::join(parts, "; ")));
}

void RecordFaults::throw_if_any() const {
  if (empty()) return;
  if (stopped_.empty() && count_ + std::ssize(ended_) == 1) {
    throw Error(ExitCode::kConfig, count_ == 1 ? first_.front() : ended_.front());
  }
  const std::string head = count_ == 0 ? "the data cannot be read to their end"
                                       : fmt::format("{}{} of the data cannot be used",
                                                     stopped_.empty() ? "" : "at least ",
                                                     format_counted(count_, "record"));
  throw ErrorList(ExitCode::kConfig, head, first_, rest());
}

}  // namespace rung::data
