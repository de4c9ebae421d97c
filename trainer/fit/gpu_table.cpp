#include "fit/gpu_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/config_node.h"
#include "base/error.h"
#include "base/files.h"

namespace rung::fit {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr double kLargest = 1e6;
constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr std::array<std::string_view, 6> kKeys = {"memory_gib",      "bf16_tflops",
                                                   "memory_gb_per_s", "pcie_gb_per_s",
                                                   "price_per_hour",  "price_date"};

class Reader {
 public:
  Reader(ConfigEntry& entry, ConfigErrors& errors) : entry_(entry), errors_(errors) {}

  Gpu read() {
    if (entry_.value.kind != ConfigNode::Kind::kMap) {
      errors_.add({.what = fmt::format("the GPU {}", entry_.key),
                   .got = entry_.value.quoted(),
                   .expected = "keys and values",
                   .where = entry_.where});
      return {};
    }
    for (const ConfigEntry& key : entry_.value.entries) {
      if (std::ranges::find(kKeys, key.key) != kKeys.end()) continue;
      errors_.add({.what = fmt::format("unknown key {} of the GPU {}", key.key, entry_.key),
                   .expected = fmt::format("{}", fmt::join(kKeys, ", ")),
                   .where = key.where});
    }
    Gpu gpu{.name = entry_.key};
    gpu.memory = static_cast<int64_t>(number("memory_gib") * kGiB);
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
    errors_.add({.what = fmt::format("{} of the GPU {}", key, entry_.key),
                 .got = found == nullptr ? "nothing" : found->value.quoted(),
                 .expected = "a date",
                 .where = found == nullptr ? entry_.where : found->where});
    return {};
  }

  double number(std::string_view key) {
    ConfigEntry* found = entry_.value.find(key);
    double value = 0.0;
    if (found != nullptr && read_scalar(found->value, value) && value > 0.0 && value <= kLargest) {
      return value;
    }
    errors_.add({.what = fmt::format("{} of the GPU {}", key, entry_.key),
                 .got = found == nullptr ? "nothing" : found->value.quoted(),
                 .expected = "a number above 0, at most a million",
                 .where = found == nullptr ? entry_.where : found->where});
    return 0.0;
  }

  ConfigEntry& entry_;
  ConfigErrors& errors_;
};

}  // namespace

std::vector<Gpu> read_gpus(const std::filesystem::path& yaml) {
  ConfigErrors errors;
  ConfigNode root = parse_config_text(read_text_file(yaml, kMaxBytes), yaml.string(),
                                      LineNumbers::kShown, errors);
  if (root.kind != ConfigNode::Kind::kMap || root.entries.empty()) {
    throw Error(ExitCode::kConfig, {.what = "a table of GPUs has none in it",
                                    .got = root.quoted(),
                                    .expected = "a mapping of names to GPUs",
                                    .where = yaml.string()});
  }
  std::vector<Gpu> gpus;
  for (ConfigEntry& entry : root.entries) gpus.push_back(Reader(entry, errors).read());
  errors.throw_if_any();
  return gpus;
}

const Gpu& find_gpu(const std::vector<Gpu>& gpus, const std::string& name) {
  const auto found = std::ranges::find(gpus, name, &Gpu::name);
  if (found != gpus.end()) return *found;
  std::vector<std::string_view> names;
  for (const Gpu& gpu : gpus) names.push_back(gpu.name);
  throw Error(ExitCode::kUsage, {.what = "there is no GPU of this name in the table",
                                 .got = name,
                                 .expected = fmt::format("one of {}", fmt::join(names, ", "))});
}

}  // namespace rung::fit
