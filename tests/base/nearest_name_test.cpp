// The name that a mistyped one was meant to be.
#include "base/nearest_name.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rung {
namespace {

const std::vector<std::string_view> kNames = {"learning_rate", "lora_r", "lora_alpha", "seed"};

TEST(NearestName, ForgivesADroppedAReplacedAndASwappedLetter) {
  EXPECT_EQ(nearest_name("learning_rat", kNames), "learning_rate");
  EXPECT_EQ(nearest_name("learning_rafe", kNames), "learning_rate");
  EXPECT_EQ(nearest_name("laerning_rate", kNames), "learning_rate");
}

TEST(NearestName, PassesOverLetterCase) { EXPECT_EQ(nearest_name("SEED", kNames), "seed"); }

TEST(NearestName, TakesTheNearerOfTwo) {
  EXPECT_EQ(nearest_name("lora_x", kNames), "lora_r");
  EXPECT_EQ(nearest_name("lora_alph", kNames), "lora_alpha");
}

TEST(NearestName, IsNoneWhereNothingIsNear) {
  EXPECT_EQ(nearest_name("warmup_steps", kNames), std::nullopt);
  EXPECT_EQ(nearest_name("lora_alpha", {}), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(100'000, 'a'), kNames), std::nullopt);
}

TEST(DidYouMean, IsEmptyWhereNothingIsNear) {
  EXPECT_EQ(did_you_mean("sead", kNames), "did you mean seed?");
  EXPECT_EQ(did_you_mean("warmup_steps", kNames), "");
}

}  // namespace
}  // namespace rung
