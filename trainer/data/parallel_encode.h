// Encodes a batch of raw records with several threads, results in the order of the records.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "data/encode.h"
#include "data/reader.h"

namespace rung::data {

// One file of a data set being encoded.
struct EncodeJob {
  const std::filesystem::path& path;
  const DatasetConfig& config;
  const EncodeContext& context;
  int64_t num_threads = 1;
};

// Throws the exception of the first record that has one.
std::vector<Example> encode_batch(std::span<const RawRecord> records, const EncodeJob& job);

}  // namespace rung::data
