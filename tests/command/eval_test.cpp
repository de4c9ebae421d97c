// `rung eval` as a process: what it reads, and what it does where memory is short.
#include <gtest/gtest.h>

#include <string>

#include "tests/command/program.h"

namespace rung::command {
namespace {

using rung::testing::expect_failure;
using rung::testing::ProgramFolder;
using rung::testing::ProgramResult;
using rung::testing::run_program;

// `rung eval` over test.jsonl, a copy of the training data, with `more` arguments.
ProgramResult evaluate(const ProgramFolder& dir, std::vector<std::string> more) {
  dir.write("test.jsonl", dir.read("train.jsonl"));
  more.insert(more.begin(), {"eval", "run.yaml", "--json", "--set",
                             "test_datasets=[{path: test.jsonl, type: chat_template}]"});
  return run_program(dir, more);
}

TEST(EvalProgram, ReadsNoTrainingDataWhereThereAreTestDatasets) {
  const ProgramFolder dir;
  const ProgramResult expected = evaluate(dir, {});
  const ProgramResult result = evaluate(dir, {"--set", "datasets.0.path=absent.jsonl"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, expected.out);
}

TEST(EvalProgram, ReadsTheTrainingDataForAPartOfThem) {
  const ProgramFolder dir;
  expect_failure(run_program(dir, {"eval", "run.yaml", "--set", "val_set_size=2", "--set",
                                   "datasets.0.path=absent.jsonl"}),
                 3, "absent.jsonl");
}

TEST(EvalProgram, TakesFewerExamplesAtATimeWhereMemoryIsShort) {
  const ProgramFolder dir;
  const ProgramResult refused = evaluate(dir, {"--set", "memory_limit=1KiB"});
  expect_failure(refused, 4, "even with one example at a time: got ");
  const size_t got = refused.err.find("got ") + 4;
  ASSERT_EQ(refused.err.substr(refused.err.find(' ', got) + 1, 3), "KiB") << refused.err;
  const double least = std::stod(refused.err.substr(got));  // KiB
  const ProgramResult roomy = evaluate(dir, {"--set", "eval_batch_size=6"});
  EXPECT_EQ(roomy.err, "");
  const ProgramResult tight =
      evaluate(dir, {"--set", "eval_batch_size=6", "--set",
                     "memory_limit=" + std::to_string(static_cast<int64_t>(1.02 * least)) + "KiB"});
  EXPECT_EQ(tight.code, 0) << tight.err;
  EXPECT_NE(tight.err.find("at a time, as 6 do not fit"), std::string::npos) << tight.err;
  EXPECT_NEAR(Json::parse(tight.out)["loss"].get<double>(),
              Json::parse(roomy.out)["loss"].get<double>(), 1e-5);
}

TEST(EvalProgram, NotesASequenceLenBeyondTheModel) {
  const ProgramFolder dir;
  const ProgramResult result = evaluate(dir, {"--set", "sequence_len=129"});
  EXPECT_EQ(result.code, 0);
  EXPECT_NE(result.err.find("note: sequence_len 129 is beyond the 128 positions"),
            std::string::npos)
      << result.err;
}

}  // namespace
}  // namespace rung::command
