#include "data/parallel_encode.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

namespace rung::data {
namespace {

Example encode_one(const RawRecord& raw, const EncodeJob& job) {
  const Record record{.value = parse_record(raw, job.path),
                      .source = fmt::format("{}:{}", job.path.string(), raw.line)};
  return encode_record(record, job.config, job.context);
}

}  // namespace

std::vector<Encoded> encode_batch(std::span<const RawRecord> records, const EncodeJob& job) {
  std::vector<Encoded> encoded(records.size());
  std::atomic<size_t> next = 0;
  // Records are claimed one by one: their lengths differ too much for equal shares.
  const auto work = [&] {
    for (size_t i = next++; i < records.size(); i = next++) {
      try {
        encoded[i].example = encode_one(records[i], job);
      } catch (...) {
        encoded[i].fault = std::current_exception();
      }
    }
  };
  const size_t num_threads = std::min(records.size(), static_cast<size_t>(job.num_threads));
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < num_threads; ++i) threads.emplace_back(work);
    work();
  }  // joins
  return encoded;
}

}  // namespace rung::data
