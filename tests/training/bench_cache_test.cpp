#include "training/bench_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/scoped_variable.h"
#include "tests/support/temp_dir.h"

namespace rung::training {
namespace {

using rung::testing::ScopedVariable;
using rung::testing::TempDir;

class BenchCache : public ::testing::Test {
 protected:
  BenchCache() {
    result_.shape = {.num_layers = 4, .num_heads = 2};
    result_.device = "CPU";
    result_.num_threads = 2;
    result_.compute = c10::kBFloat16;
    result_.tokens = 100;
    result_.seconds = {2.0};
    result_.flops = {.linears = 3e12};
    result_.gemm_rate = {.size = 64, .flops_per_second = 2e12};
  }

  BenchSubject subject() const {
    return {.device = "CPU",
            .num_threads = 2,
            .model = result_.shape,
            .base = model::BaseFormat::kNf4,
            .compute = c10::kBFloat16};
  }

  TempDir dir_;
  ScopedVariable caches_{"XDG_CACHE_HOME", dir_.path().string()};
  UserCache cache_{kBenchCache};
  BenchResult result_;
};

TEST_F(BenchCache, GivesBackTheSpeed) {
  EXPECT_FALSE(remembered_speed(cache_, subject()).has_value());
  remember_bench(cache_, result_);
  const auto speed = remembered_speed(cache_, subject());
  ASSERT_TRUE(speed.has_value());
  EXPECT_EQ(speed->flops_per_second, 1.5e12);
  EXPECT_EQ(speed->day.size(), std::string("2026-11-26").size());
}

TEST_F(BenchCache, KeepsWhatLongerStepsFound) {
  remember_bench(cache_, result_);
  BenchResult other = result_;
  other.seconds = {4.0};
  other.tokens = result_.tokens - 1;
  remember_bench(cache_, other);
  EXPECT_EQ(remembered_speed(cache_, subject())->flops_per_second, 1.5e12);
  other.tokens = result_.tokens;
  remember_bench(cache_, other);
  EXPECT_EQ(remembered_speed(cache_, subject())->flops_per_second, 0.75e12);
  EXPECT_EQ(remembered_speed(cache_, subject())->step_tokens, result_.tokens);
}

TEST_F(BenchCache, HoldsForNothingElse) {
  remember_bench(cache_, result_);
  const auto is_known = [&](auto change) {
    BenchSubject other = subject();
    change(other);
    return remembered_speed(cache_, other).has_value();
  };
  EXPECT_TRUE(is_known([](BenchSubject&) {}));
  EXPECT_FALSE(is_known([](BenchSubject& other) { other.device = "GPU"; }));
  EXPECT_FALSE(is_known([](BenchSubject& other) { other.num_threads = 3; }));
  EXPECT_FALSE(is_known([](BenchSubject& other) { other.base = model::BaseFormat::kDense; }));
  EXPECT_FALSE(is_known([](BenchSubject& other) { other.compute = c10::kFloat; }));
  result_.shape.num_layers = 5;
  EXPECT_FALSE(remembered_speed(cache_, subject()).has_value());
}

TEST_F(BenchCache, PassesOverADamagedFile) {
  remember_bench(cache_, result_);
  const auto entry = *std::filesystem::directory_iterator(cache_.folder());
  for (const char* text :
       {"", "{", "[]", "{}", R"({"day": 1, "bench": 2})",
        R"({"day": "x", "step_tokens": 1, "bench": {"figures": [{"tflops": -1}]}})",
        R"({"bench": {"figures": [{"tflops": 1}]}})"}) {
    dir_.write(entry.path(), text);
    EXPECT_FALSE(remembered_speed(cache_, subject()).has_value()) << text;
  }
}

TEST(SpeedIn, IsThatOfTheFirstFigure) {
  EXPECT_EQ(speed_in(Json::parse(R"({"figures": [{"tflops": 2}, {"tflops": 3}]})")), 2e12);
  EXPECT_EQ(speed_in(Json::parse(R"({"figures": {}})")), std::nullopt);
  EXPECT_EQ(speed_in(Json::parse(R"({"figures": [{"tflops": "2"}]})")), std::nullopt);
}

}  // namespace
}  // namespace rung::training
