// Rows of one length over a tiny dense model in bf16, to be planned.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "memory/counting_allocator.h"
#include "tests/support/tiny_transformer.h"
#include "training/run_plan.h"

namespace rung::testing {

inline constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

struct RowsShape {
  int64_t count = 0;
  int64_t length = 0;  // tokens
  int64_t micro_batch_size = 1;
};

class PlannedRows : public ::testing::Test {
 protected:
  PlannedRows(const nlohmann::json& model, const RowsShape& rows) : folder_(model) {
    memory::install_counting_allocators();
    config_.adapter = AdapterKind::kLora;
    config_.load_in_4bit = false;
    config_.compute_dtype = ComputeDtype::kBf16;
    config_.sequence_len = rows.length;
    config_.micro_batch_size = rows.micro_batch_size;
    for (int64_t i = 0; i < rows.count; ++i) {
      examples_.emplace_back().input_ids.assign(static_cast<size_t>(rows.length), 1);
      examples_.back().labels = examples_.back().input_ids;
    }
  }

  // For the CPU. Refers to this object.
  training::PlanRequest request(int64_t limit) {
    adapter_ = training::plan_adapter(config_, folder_.config()).options;
    return {.config = config_,
            .model = folder_.config(),
            .adapter = adapter_,
            .examples = examples_,
            .validation = {},
            .memory_limit = limit};
  }

  TinyFolder folder_;
  RunConfig config_;
  model::AdapterOptions adapter_;
  std::vector<data::Example> examples_;
};

}  // namespace rung::testing
