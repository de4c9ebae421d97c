#include "fit/gpu_table.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "base/named_table.h"

namespace rung::fit {
namespace {

constexpr double kLargest = 1e6;
constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr std::array<std::string_view, 8> kKeys = {
    "memory_gib",      "multiprocessors", "architecture",   "bf16_tflops",
    "memory_gb_per_s", "pcie_gb_per_s",   "price_per_hour", "price_date"};

class Reader {
 public:
  Reader(ConfigEntry& entry, ConfigErrors& errors) : entry_(entry), errors_(errors) {}

  Gpu read() {
    if (!check_table_entry(entry_, "the GPU " + entry_.key, "keys and values", kKeys, errors_)) {
      return {};
    }
    Gpu gpu{.name = entry_.key};
    gpu.memory = static_cast<int64_t>(number("memory_gib") * kGiB);
    gpu.num_multiprocessors = count_if_there("multiprocessors");
    gpu.architecture = count_if_there("architecture");
    gpu.flops_per_second = number("bf16_tflops") * 1e12;
    gpu.memory_bandwidth = number("memory_gb_per_s") * 1e9;
    gpu.transfer_bandwidth = number("pcie_gb_per_s") * 1e9;
    gpu.price_per_hour = number("price_per_hour");
    gpu.price_date = text("price_date");
    return gpu;
  }

 private:
  std::string text(std::string_view key) {
    const ConfigEntry* found = entry_.value.find(key);
    if (found != nullptr && found->value.is_scalar()) return found->value.text;
    refuse(key, found, "a date");
    return {};
  }

  int64_t count_if_there(std::string_view key) {
    return entry_.value.find(key) == nullptr ? 0 : static_cast<int64_t>(number(key));
  }

  double number(std::string_view key) {
    const ConfigEntry* found = entry_.value.find(key);
    double value = 0.0;
    if (found != nullptr && read_scalar(found->value, value) && value > 0.0 && value <= kLargest) {
      return value;
    }
    refuse(key, found, "a number above 0, at most a million");
    return 0.0;
  }

  void refuse(std::string_view key, const ConfigEntry* found, const std::string& expected) {
    errors_.add({.what = fmt::format("{} of the GPU {}", key, entry_.key),
                 .got = found == nullptr ? "nothing" : found->value.quoted(),
                 .expected = expected,
                 .where = found == nullptr ? entry_.where : found->where});
  }

  ConfigEntry& entry_;
  ConfigErrors& errors_;
};

}  // namespace

std::vector<Gpu> read_gpus(const std::filesystem::path& yaml) {
  ConfigErrors errors;
  ConfigNode root = read_named_table(yaml, "a table of GPUs has none in it",
                                     "a mapping of names to GPUs", errors);
  std::vector<Gpu> gpus;
  for (ConfigEntry& entry : root.entries) gpus.push_back(Reader(entry, errors).read());
  errors.throw_if_any();
  return gpus;
}

const Gpu& find_gpu(const std::vector<Gpu>& gpus, const std::string& name) {
  return find_named(gpus, name, "there is no GPU of this name in the table");
}

}  // namespace rung::fit
