// A run of six optimizer steps over the tiny model, small enough to be repeated dozens of times,
// with everything in it that could break a resume: dropout, packing, accumulation, shuffling.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <ostream>
#include <sstream>
#include <streambuf>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "memory/counting_allocator.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model_folder.h"
#include "training/run.h"

namespace rung::testing {

inline constexpr int64_t kTinySteps = 6;

// Collects what is written, and calls `action` once `trigger` stands in it.
class WatchedLog : private std::streambuf, public std::ostream {
 public:
  WatchedLog() : std::ostream(static_cast<std::streambuf*>(this)) {}
  WatchedLog(std::string trigger, std::function<void()> action)
      : std::ostream(static_cast<std::streambuf*>(this)),
        trigger_(std::move(trigger)),
        action_(std::move(action)) {}

  const std::string& text() const { return text_; }
  bool contains(std::string_view words) const { return text_.find(words) != std::string::npos; }

 private:
  int overflow(int c) override {
    if (c != EOF) {
      text_.push_back(static_cast<char>(c));
      watch();
    }
    return c;
  }
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    text_.append(text, static_cast<size_t>(count));
    watch();
    return count;
  }
  void watch() {
    if (action_ && text_.find(trigger_) != std::string::npos) std::exchange(action_, nullptr)();
  }

  std::string text_;
  std::string trigger_;
  std::function<void()> action_;
};

// `count` records of random ids below `vocab`; the first third of each is not learnt.
inline std::string tiny_records(int64_t count, int64_t vocab) {
  const CounterRandom random(11, stream_of("records"));
  uint64_t draw = 0;
  std::string text;
  for (int64_t i = 0; i < count; ++i) {
    const auto length = 8 + random.below(draw++, 33);
    Json ids = Json::array();
    Json labels = Json::array();
    for (uint64_t j = 0; j < length; ++j) {
      ids.push_back(random.below(draw++, static_cast<uint64_t>(vocab)));
      labels.push_back(j < length / 3 ? Json(-100) : ids.back());
    }
    text += Json{{"input_ids", ids}, {"labels", labels}}.dump() + "\n";
  }
  return text;
}

class TinyRun {
 public:
  TinyRun() {
    memory::install_counting_allocators();
    config.base_model = write_tiny_model(dir).string();
    config.adapter = AdapterKind::kLora;
    config.load_in_4bit = false;
    config.compute_dtype = ComputeDtype::kFp32;
    config.lora_r = 4;
    config.lora_dropout = 0.1;
    config.datasets = {
        {.path = dir.write("train.jsonl", tiny_records(24, 256)), .type = DatasetType::kTokenized}};
    config.sequence_len = 64;
    config.sample_packing = true;
    config.gradient_accumulation_steps = 3;
    config.max_steps = kTinySteps;
    config.learning_rate = 1e-2;
    config.memory_limit = int64_t{256} << 20;
    config.num_threads = 1;
    config.output_dir = dir / "out";
  }

  ExitCode train(std::ostream& log, const training::ResumeChoice& resume = {}) const {
    return training::train({.config = config, .resume = resume}, log);
  }
  ExitCode train(const training::ResumeChoice& resume = {}) const {
    WatchedLog log;
    return train(log, resume);
  }

  std::filesystem::path checkpoint(int64_t step) const {
    char name[32];
    std::snprintf(name, sizeof(name), "step-%06d", static_cast<int>(step));
    return config.output_dir / "checkpoints" / name;
  }

  TempDir dir;
  RunConfig config;
};

inline std::string file_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<Json> metrics_of(const std::filesystem::path& output_dir) {
  std::istringstream text(file_bytes(output_dir / "metrics.jsonl"));
  std::vector<Json> rows;
  for (std::string line; std::getline(text, line);) rows.push_back(Json::parse(line));
  return rows;
}

inline std::vector<Json> rows_of_kind(const std::filesystem::path& output_dir,
                                      const std::string& kind) {
  std::vector<Json> rows;
  for (Json& row : metrics_of(output_dir)) {
    if (row["kind"] == kind) rows.push_back(std::move(row));
  }
  return rows;
}

inline Json run_record_of(const std::filesystem::path& output_dir) {
  return read_json_file(output_dir / "run.json");
}

// All that two runs of the same configuration must have in common: every byte but times, memory
// and paths (those of the largest rows, too).
inline std::map<std::string, std::string> outcome_of(const std::filesystem::path& output_dir,
                                                     const std::filesystem::path& checkpoint) {
  std::map<std::string, std::string> outcome;
  outcome["adapter_model.safetensors"] = file_bytes(output_dir / "adapter_model.safetensors");
  for (const char* name : {"adapter_model.safetensors", "optimizer.safetensors"}) {
    outcome[std::string("checkpoint/") + name] = file_bytes(checkpoint / name);
  }
  Json state = read_json_file(checkpoint / "state.json");
  state.erase("elapsed_seconds");
  outcome["checkpoint/state.json"] = state.dump();
  for (Json& row : metrics_of(output_dir)) {
    if (row.at("kind") == "start") continue;  // of a process, not of the run
    for (const char* key :
         {"seconds", "tokens_per_second", "elapsed_seconds", "time", "memory_peak",
          "memory_at_peak", "memory_live", "memory_live_by_component", "memory_reserved",
          "memory_other", "memory_neighbours", "largest_micro_batch"}) {
      row.erase(key);
    }
    outcome["metrics.jsonl"] += row.dump() + "\n";
  }
  return outcome;
}

// Expects equal outcomes and names what differs.
inline void expect_same_outcome(const std::map<std::string, std::string>& got,
                                const std::map<std::string, std::string>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (const auto& [name, bytes] : expected) {
    const bool is_text = name.find("safetensors") == std::string::npos;
    EXPECT_TRUE(got.at(name) == bytes)
        << name << " differs" << (is_text ? ":\n" + got.at(name) + "expected:\n" + bytes : "");
  }
}

}  // namespace rung::testing
