// Encodes a batch of raw records with several threads, results in the order of the records.
#pragma once

#include <cstdint>
#include <exception>
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

// An example, or why the record is none.
struct Encoded {
  Example example;
  std::exception_ptr fault;  // null: there is an example
};

std::vector<Encoded> encode_batch(std::span<const RawRecord> records, const EncodeJob& job);

}  // namespace rung::data
