#include "data/record_faults.h"

#include <fmt/format.h>

#include <iterator>

#include "base/error_list.h"
#include "base/units.h"

namespace rung::data {
namespace {

constexpr size_t kMostShown = 10;

}  // namespace

void RecordFaults::add(const std::exception_ptr& fault) {
  try {
    std::rethrow_exception(fault);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kConfig) throw;
    ++count_;
    if (first_.size() < kMostShown) first_.push_back(error.parts());
  }
}

void RecordFaults::throw_if_any() const {
  if (count_ == 0) return;
  if (count_ == 1) throw Error(ExitCode::kConfig, first_.front());
  const int64_t more = count_ - std::ssize(first_);
  throw ErrorList(ExitCode::kConfig,
                  fmt::format("{} of the data cannot be used", format_counted(count_, "record")),
                  first_, more > 0 ? fmt::format("and {} more", format_count(more)) : "");
}

}  // namespace rung::data
