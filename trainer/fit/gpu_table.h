// GPUs by name: what they hold, how fast they are, what they cost (configs/gpus.yaml).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace rung::fit {

struct Gpu {
  std::string name;
  int64_t memory = 0;               // bytes that a program really gets
  int64_t num_multiprocessors = 0;  // 0: not in the table
  int64_t architecture = 0;         // 90: sm_90; 0: not in the table
  double flops_per_second = 0.0;    // dense bf16 products, as the vendor states them
  double memory_bandwidth = 0.0;    // bytes a second
  double transfer_bandwidth = 0.0;  // bytes a second from pinned host memory
  double price_per_hour = 0.0;
  std::string price_date;
};

// In the file's order. Throws Error kConfig with file and line where a key is absent, not known, or
// its value no positive number.
std::vector<Gpu> read_gpus(const std::filesystem::path& yaml);

// The one called `name`; throws Error kUsage with all names where there is none.
const Gpu& find_gpu(const std::vector<Gpu>& gpus, const std::string& name);

}  // namespace rung::fit
