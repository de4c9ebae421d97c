// A valid file is damaged at random, many times: reading it must succeed or throw an Error, and
// never crash, hang or take memory out of proportion to the file. Seeded: a failure repeats.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "format/adapter.h"
#include "format/model_folder.h"
#include "tests/support/temp_dir.h"

namespace rung::format {
namespace {

using rung::testing::TempDir;

std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(RUNG_TEST_DATA) / "golden" / "format" / name;
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// One to three damages of the kinds that transfers and editors do, most of them near the front,
// where the structure is.
std::string damaged(std::string bytes, std::mt19937& random) {
  const auto below = [&](size_t limit) { return random() % std::max<size_t>(limit, 1); };
  const auto place = [&] {
    return below(random() % 4 != 0 ? std::min<size_t>(bytes.size(), 1500) : bytes.size());
  };
  static constexpr std::string_view kTokens[] = {
      "{", "}", "[", "]", "\"", ",", ":", "0", "-1", "1e999", "9223372036854775807", "\\u0000"};
  for (size_t count = 1 + below(3); count > 0 && !bytes.empty(); --count) {
    const size_t at = place();
    switch (random() % 6) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8);
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(at, 1 + below(8));
        break;
      case 4:
        bytes.insert(at, kTokens[random() % std::size(kTokens)]);
        break;
      default:
        bytes.insert(at, bytes.substr(place(), 1 + below(200)));
        break;
    }
  }
  return bytes;
}

// Reads everything that the header promises.
void read_all(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  for (const auto& [name, info] : file.tensors()) {
    std::vector<std::byte> data(static_cast<size_t>(info.bytes));
    file.read(name, 0, data);
  }
}

template <typename Read>
void expect_errors_only(const std::filesystem::path& victim, int rounds, Read read) {
  const std::string original = read_file(victim);
  std::mt19937 random(7);
  const long peak_before = peak_kib();
  int num_errors = 0;
  for (int round = 0; round < rounds; ++round) {
    std::ofstream(victim, std::ios::binary | std::ios::trunc) << damaged(original, random);
    try {
      read();
    } catch (const Error&) {
      ++num_errors;
    }
  }
  EXPECT_GT(num_errors, rounds / 2);
  EXPECT_LT(peak_kib() - peak_before, 64 << 10) << "KiB more than before";
}

TEST(Damage, SafetensorsFile) {
  const TempDir dir;
  std::filesystem::copy_file(golden("all_dtypes.safetensors"), dir / "x");
  expect_errors_only(dir / "x", 2000, [&] { read_all(dir / "x"); });
}

TEST(Damage, WeightsOfABnbFolder) {
  const TempDir dir;
  std::filesystem::copy(golden("bnb_double"), dir.path());
  expect_errors_only(dir / "model.safetensors", 1000, [&] { ModelFolder folder(dir.path()); });
}

TEST(Damage, ConfigOfABnbFolder) {
  const TempDir dir;
  std::filesystem::copy(golden("bnb_double"), dir.path());
  expect_errors_only(dir / "config.json", 1000, [&] { ModelFolder folder(dir.path()); });
}

TEST(Damage, AdapterTensors) {
  const TempDir dir;
  std::filesystem::copy(golden("adapter"), dir.path());
  expect_errors_only(dir / "adapter_model.safetensors", 1000, [&] { read_adapter(dir.path()); });
}

TEST(Damage, AdapterConfig) {
  const TempDir dir;
  std::filesystem::copy(golden("adapter"), dir.path());
  expect_errors_only(dir / "adapter_config.json", 1000, [&] { read_adapter(dir.path()); });
}

}  // namespace
}  // namespace rung::format
