// `rung plan` as a process.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/command/program.h"

namespace rung::command {
namespace {

using rung::testing::expect_failure;
using rung::testing::ProgramFolder;
using rung::testing::ProgramResult;
using rung::testing::run_program;

ProgramResult plan(const ProgramFolder& dir, std::vector<std::string> more) {
  more.insert(more.begin(), {"plan", "run.yaml"});
  return run_program(dir, more);
}

Json plan_json(const ProgramFolder& dir, std::vector<std::string> more) {
  more.push_back("--json");
  const ProgramResult result = plan(dir, more);
  EXPECT_EQ(result.code, 0) << result.err;
  return Json::parse(result.out);
}

const Json& chosen(const Json& json) {
  static const Json kNone;
  for (const Json& rung : json.at("rungs")) {
    if (rung.at("chosen").get<bool>()) return rung;
  }
  return kNone;
}

TEST(PlanProgram, PrintsJsonWithTheAgreedKeys) {
  const ProgramFolder dir;
  const Json json = plan_json(dir, {});
  EXPECT_EQ(json.at("fits"), true);
  EXPECT_LE(json.at("peak"), json.at("limit"));
  for (const char* phase : {"load", "train", "save", "resume"}) {
    EXPECT_GT(json.at("phases").at(phase), 0) << phase;
  }
  EXPECT_TRUE(json.at("phases").contains("eval"));
  int64_t sum = 0;
  for (const auto& [name, bytes] : json.at("components").items()) sum += bytes.get<int64_t>();
  EXPECT_EQ(sum, json.at("phases").at("train"));
  EXPECT_EQ(json.at("gpus"), Json::array());
  EXPECT_EQ(chosen(json).at("peak"), json.at("phases").at("train"));
  EXPECT_EQ(chosen(json).at("tokens_per_second"), Json());
  EXPECT_EQ(chosen(json).at("same_numbers"), true);
}

TEST(PlanProgram, PlansWhatTheRunThenTakes) {
  const ProgramFolder dir;
  const Json json = plan_json(dir, {});
  const ProgramResult trained = run_program(dir, {"train", "run.yaml"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Json record = read_json_file(dir / "out" / "run.json");
  EXPECT_EQ(record.at("memory").at("planned_peak"), json.at("peak"));
  EXPECT_LE(record.at("memory").at("measured_peak"), json.at("peak"));
  EXPECT_GE(record.at("memory").at("measured_peak").get<double>(),
            0.95 * json.at("peak").get<double>());
}

TEST(PlanProgram, ClimbsUnderALimitAndSaysWhereNothingFits) {
  const ProgramFolder dir;
  const Json roomy = plan_json(dir, {});
  const int64_t least = roomy.at("rungs").back().at("peak");
  const Json tight = plan_json(dir, {"--set", "memory_limit=" + std::to_string(least)});
  EXPECT_EQ(chosen(tight).at("peak"), least);
  const ProgramResult none =
      plan(dir, {"--json", "--set", "memory_limit=" + std::to_string(least / 2)});
  EXPECT_EQ(none.code, 4);
  EXPECT_EQ(Json::parse(none.out).at("fits"), false);
}

TEST(PlanProgram, ComparesGpus) {
  const ProgramFolder dir;
  const Json json =
      plan_json(dir, {"--all-gpus", "--set", "compute_dtype=bf16", "--set", "memory_limit=0"});
  ASSERT_EQ(json.at("gpus").size(), 11u);
  for (const Json& gpu : json.at("gpus")) {
    EXPECT_EQ(gpu.at("fits"), true);
    EXPECT_GT(gpu.at("hours"), 0.0);
    EXPECT_GT(gpu.at("cost"), 0.0);
  }
  const ProgramResult table =
      plan(dir, {"--all-gpus", "--set", "compute_dtype=bf16", "--set", "memory_limit=0"});
  EXPECT_NE(table.out.find("<- cheapest"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("<- fastest"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("a roofline, nothing measured"), std::string::npos) << table.out;
}

TEST(PlanProgram, AsksNothingOfThisMachineForTheTable) {
  const ProgramFolder dir;
  const std::vector<std::string> more = {"--all-gpus",  "--set", "compute_dtype=bf16", "--set",
                                         "device=cuda", "--set", "memory_limit=100TiB"};
  EXPECT_EQ(plan(dir, more).code, 0);
  EXPECT_EQ(plan(dir, {"--all-gpus", "--set", "compute_dtype=bf16", "--set", "memory_limit=1000MiB",
                       "--set", "sequence_len=96"})
                .code,
            0);
  EXPECT_EQ(
      plan(dir, {"--all-gpus", "--set", "compute_dtype=bf16", "--set", "memory_limit=769MiB"}).code,
      4);
  expect_failure(plan(dir, {"--gpus", "x.yaml"}), 2, "add --gpu NAME or --all-gpus");
}

// A run takes fewer examples at a time; so does its plan.
TEST(PlanProgram, PlansTheEvaluationAsItWillBe) {
  const ProgramFolder dir;
  dir.write("test.jsonl", dir.read("train.jsonl"));
  std::vector<std::string> more = {"--json", "--set",
                                   "test_datasets=[{path: test.jsonl, type: chat_template}]",
                                   "--set", "eval_batch_size=6"};
  const ProgramResult roomy = plan(dir, more);
  ASSERT_EQ(roomy.code, 0) << roomy.err;
  const Json json = Json::parse(roomy.out);
  EXPECT_GT(json.at("phases").at("eval"), 0);
  const int64_t limit = json.at("phases").at("train");
  more.insert(more.end(), {"--set", "memory_limit=" + std::to_string(limit)});
  const ProgramResult tight = plan(dir, more);
  EXPECT_EQ(tight.code, 0) << tight.err;
  EXPECT_LE(Json::parse(tight.out).at("phases").at("eval"), limit);
}

TEST(PlanProgram, PlansForAGpuThatIsNotThere) {
  const ProgramFolder dir;
  const ProgramResult result =
      plan(dir, {"--gpu", "rtx-4090", "--set", "compute_dtype=bf16", "--set", "memory_limit=0"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("device    rtx-4090\n")) << result.out;
  EXPECT_NE(result.out.find("tok/s"), std::string::npos) << result.out;
  expect_failure(plan(dir, {"--gpu", "voodoo2"}), 2, "one of rtx-3090");
}

// Whether the data are counted now or were before.
TEST(PlanProgram, SaysWhatOfTheDataIsLeftOut) {
  const ProgramFolder dir;
  dir.write("ids.jsonl",
            "{\"input_ids\":[1,2,3,4,5]}\n{\"input_ids\":[1,2]}\n"
            "{\"input_ids\":[3,4],\"labels\":[-100,-100]}\n");
  const std::vector<std::string> ids = {"--set", "datasets=[{path: ids.jsonl, type: tokenized}]",
                                        "--set", "sequence_len=4"};
  for (const char* call : {"first", "second"}) {
    const ProgramResult text = plan(dir, ids);
    EXPECT_NE(
        text.out.find("data      1 example, 2 tokens, 1 of them learnt\n"
                      "          1 too long and dropped, 0 truncated, 1 with nothing to learn\n"),
        std::string::npos)
        << call << text.out << text.err;
  }
  std::vector<std::string> truncated = ids;
  truncated.insert(truncated.end(), {"--set", "excess_length_strategy=truncate"});
  const Json data = plan_json(dir, truncated).at("data");
  EXPECT_EQ(data.at("read"), 3);
  EXPECT_EQ(data.at("kept"), 2);
  EXPECT_EQ(data.at("truncated"), 1);
  EXPECT_EQ(data.at("longest"), 5);
}

TEST(PlanProgram, SaysHowToPlanForAGpuThatIsNotThere) {
  if (std::filesystem::exists("/dev/nvidiactl")) GTEST_SKIP() << "this machine has a driver";
  const ProgramFolder dir;
  expect_failure(plan(dir, {"--set", "device=cuda"}), 3,
                 "device: auto; --gpu NAME or --all-gpus plans for a GPU that is not here");
}

TEST(PlanProgram, SpeaksOfNoOtherGpuWhereTheDeviceIsMisspelt) {
  const ProgramFolder dir;
  for (const char* device : {"cuda:x", "cuda:", "cuda0", "cpu:1"}) {
    const ProgramResult result = plan(dir, {"--set", std::string("device=") + device});
    EXPECT_EQ(result.code, 3) << device;
    EXPECT_EQ(result.err.find("--gpu"), std::string::npos) << result.err;
  }
}

// Attention of products in place of FlashAttention: fp32 has a plan on a GPU as well.
TEST(PlanProgram, PlansFp32ForAGpu) {
  const ProgramFolder dir;
  const ProgramResult result =
      plan(dir, {"--gpu", "l4", "--set", "compute_dtype=fp32", "--set", "memory_limit=0"});
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST(PlanProgram, TakesTimesFromABench) {
  const ProgramFolder dir;
  dir.write("bench.json", R"({"figures": [{"tflops": 0.001}]})");
  const Json json = plan_json(dir, {"--bench", "bench.json"});
  EXPECT_GT(chosen(json).at("tokens_per_second"), 0.0);
  expect_failure(plan(dir, {"--bench", "bench.json", "--gpu", "l4"}), 2, "not of another GPU");
  dir.write("other.json", R"({"device": "GPU", "figures": [{"tflops": 1}]})");
  expect_failure(plan(dir, {"--bench", "other.json"}), 3, "made on another device");
  dir.write("empty.json", "{}");
  expect_failure(plan(dir, {"--bench", "empty.json"}), 3, "there is no figure in the file");
}

// The entries of the cache of token counts.
std::vector<std::filesystem::path> counted(const ProgramFolder& dir) {
  std::vector<std::filesystem::path> entries;
  const std::filesystem::path folder = dir / ".cache/rung/token-counts";
  if (!std::filesystem::exists(folder)) return entries;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    entries.push_back(entry.path());
  }
  return entries;
}

// Whatever the data are taken for, and in both forms.
TEST(PlanProgram, PrintsTheSameFromTheCache) {
  const std::vector<std::vector<std::string>> ways = {
      {"max_steps=0"},
      {"sample_packing=true", "max_steps=0"},
      {"val_set_size=2", "max_steps=0"},
      {"test_datasets=[{path: test.jsonl, type: chat_template}]", "eval_batch_size=2"},
      {"sequence_len=40", "excess_length_strategy=truncate", "train_on_inputs=true"},
      {"sequence_len=72", "excess_length_strategy=drop", "sample_packing=true"},
  };
  const std::vector<std::vector<std::string>> places = {
      {},
      {"--json"},
      {"--gpu", "rtx-4090", "--json", "--set", "compute_dtype=bf16", "--set", "memory_limit=0"},
  };
  for (const std::vector<std::string>& way : ways) {
    for (std::vector<std::string> more : places) {
      const ProgramFolder dir;
      dir.write("test.jsonl", dir.read("train.jsonl"));
      for (const std::string& key : way) more.insert(more.end(), {"--set", key});
      const ProgramResult first = plan(dir, more);
      EXPECT_EQ(first.code, 0) << way[0] << ": " << first.err;
      EXPECT_EQ(counted(dir).size(), 1u) << way[0];
      const ProgramResult second = plan(dir, more);
      EXPECT_EQ(second.code, 0) << way[0];
      EXPECT_EQ(second.out, first.out) << way[0];
      EXPECT_EQ(second.err, first.err) << way[0];
      EXPECT_EQ(counted(dir).size(), 1u) << way[0];
    }
  }
}

TEST(PlanProgram, CountsAgainWhereTheDataChanged) {
  const ProgramFolder dir;
  const std::vector<std::string> more = {"--set", "max_steps=0"};
  EXPECT_EQ(plan_json(dir, more).at("steps"), 6);
  dir.write("train.jsonl", dir.read("train.jsonl") + dir.read("train.jsonl"));
  EXPECT_EQ(plan_json(dir, more).at("steps"), 12);
  EXPECT_EQ(counted(dir).size(), 2u);
}

TEST(PlanProgram, NeedsNoWeights) {
  const ProgramFolder dir;
  const ProgramResult with = plan(dir, {});
  EXPECT_EQ(with.err, "");
  std::filesystem::remove(dir / "model/model.safetensors");
  const ProgramResult without = plan(dir, {});
  EXPECT_EQ(without.code, 0);
  EXPECT_EQ(without.out, with.out);
  EXPECT_NE(without.err.find("note: there are no weights in model"), std::string::npos)
      << without.err;
  expect_failure(run_program(dir, {"train", "run.yaml"}), 3, "the model folder has no weights");
}

TEST(PlanProgram, TakesTimesFromTheBenchOfThisMachine) {
  const ProgramFolder dir;
  const Json before = plan_json(dir, {});
  EXPECT_EQ(before.at("times"), "none; measure them here with `rung bench CONFIG`");
  EXPECT_EQ(chosen(before).at("tokens_per_second"), Json());
  const ProgramResult bench = run_program(dir, {"bench", "run.yaml", "--steps", "1", "--json"});
  ASSERT_EQ(bench.code, 0) << bench.err;
  const Json figure = Json::parse(bench.out).at("figures")[0];

  const Json after = plan_json(dir, {});
  EXPECT_TRUE(after.at("times").get<std::string>().starts_with("from rung bench of 20")) << after;
  dir.write("bench.json", bench.out);
  const Json named = plan_json(dir, {"--bench", "bench.json"});
  EXPECT_EQ(named.at("times"), "from bench.json");
  EXPECT_GT(chosen(after).at("tokens_per_second"), 0.0);
  EXPECT_EQ(after.at("rungs"), named.at("rungs"));
  // Of other arithmetic nothing is known.
  EXPECT_EQ(chosen(plan_json(dir, {"--set", "compute_dtype=bf16"})).at("tokens_per_second"),
            Json());
}

TEST(PlanProgram, LeavesNothingBehind) {
  const ProgramFolder dir;
  plan(dir, {});
  EXPECT_FALSE(std::filesystem::exists(dir / "out"));
}

}  // namespace
}  // namespace rung::command
