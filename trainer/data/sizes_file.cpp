#include "data/sizes_file.h"

#include <cstdint>
#include <iterator>
#include <limits>
#include <vector>

#include "base/sha256.h"

namespace rung::data {
namespace {

constexpr std::string_view kMagic = "rung example sizes 2\n";
constexpr size_t kDigest = 64;
constexpr size_t kBytesAnExample = 8;
constexpr size_t kNumCounts = 6;
constexpr uint64_t kMostRecords = uint64_t{1} << 48;  // more than there can be

template <typename Integer>
void append(std::string& bytes, Integer value) {
  for (size_t i = 0; i < sizeof(Integer); ++i) {
    bytes.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}

void append(std::string& bytes, const std::vector<ExampleSize>& sizes) {
  for (const ExampleSize& size : sizes) {
    append(bytes, static_cast<uint32_t>(size.num_tokens));
    append(bytes, static_cast<uint32_t>(size.num_supervised));
  }
}

// Takes an integer off the front of `bytes`, which has as many.
template <typename Integer>
Integer take(std::string_view& bytes) {
  Integer value = 0;
  for (size_t i = 0; i < sizeof(Integer); ++i) {
    value |= static_cast<Integer>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  bytes.remove_prefix(sizeof(Integer));
  return value;
}

// Likewise so many sizes; false where one is none.
bool take(std::string_view& bytes, uint64_t count, std::vector<ExampleSize>& sizes) {
  sizes.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    const auto num_tokens = take<uint32_t>(bytes);
    const auto num_supervised = take<uint32_t>(bytes);
    if (num_tokens > std::numeric_limits<int32_t>::max() || num_supervised > num_tokens) {
      return false;
    }
    sizes.push_back({.num_tokens = static_cast<int32_t>(num_tokens),
                     .num_supervised = static_cast<int32_t>(num_supervised)});
  }
  return true;
}

// Likewise a count.
bool take(std::string_view& bytes, int64_t& count) {
  const auto value = take<uint64_t>(bytes);
  count = static_cast<int64_t>(value);
  return value <= kMostRecords;
}

// Adds what follows from the sizes of the kept examples.
void count_kept(const std::vector<ExampleSize>& sizes, DatasetReport& report) {
  for (const ExampleSize& size : sizes) {
    report.tokens += size.num_tokens;
    report.supervised_tokens += size.num_supervised;
  }
  report.kept = std::ssize(sizes);
  report.read = report.kept + report.too_long + report.without_labels;
}

}  // namespace

std::string write_sizes(const RunSizes& sizes) {
  std::string bytes(kMagic);
  append(bytes, uint64_t{sizes.train.size()});
  append(bytes, uint64_t{sizes.validation.size()});
  const DatasetReport& report = sizes.report;
  for (const int64_t count :
       {report.too_long, report.without_labels, report.truncated, report.longest}) {
    append(bytes, static_cast<uint64_t>(count));
  }
  append(bytes, sizes.train);
  append(bytes, sizes.validation);
  return bytes + sha256_of_text(bytes);
}

std::optional<RunSizes> read_sizes(std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < kMagic.size() + 8 * kNumCounts + kDigest) {
    return std::nullopt;
  }
  const std::string_view content = bytes.substr(0, bytes.size() - kDigest);
  if (sha256_of_text(content) != bytes.substr(content.size())) return std::nullopt;
  std::string_view rest = content.substr(kMagic.size());
  const auto num_train = take<uint64_t>(rest);
  const auto num_validation = take<uint64_t>(rest);
  RunSizes sizes;
  DatasetReport& report = sizes.report;
  for (int64_t* count :
       {&report.too_long, &report.without_labels, &report.truncated, &report.longest}) {
    if (!take(rest, *count)) return std::nullopt;
  }
  const uint64_t num_examples = rest.size() / kBytesAnExample;
  // No sum that could overflow.
  const bool is_whole = rest.size() % kBytesAnExample == 0 && num_train <= num_examples &&
                        num_validation == num_examples - num_train;
  if (!is_whole || !take(rest, num_train, sizes.train) ||
      !take(rest, num_validation, sizes.validation)) {
    return std::nullopt;
  }
  count_kept(sizes.train, report);
  return sizes;
}

}  // namespace rung::data
