#include "training/setup.h"

#include <gtest/gtest.h>

namespace rung::training {
namespace {

bool notes(int64_t sequence_len, int64_t max_position_embeddings,
           const format::RopeConfig& rope = {}) {
  RunConfig config;
  config.sequence_len = sequence_len;
  format::ModelConfig model;
  model.max_position_embeddings = max_position_embeddings;
  model.rope = rope;
  return context_note(config, model).has_value();
}

TEST(ContextNote, ComesWhereSequenceLenIsBeyondTheModel) {
  EXPECT_FALSE(notes(2048, 2048));
  EXPECT_TRUE(notes(2049, 2048));
}

TEST(ContextNote, NamesBothFigures) {
  RunConfig config;
  config.sequence_len = 4096;
  format::ModelConfig model;
  model.max_position_embeddings = 2048;
  EXPECT_NE(context_note(config, model)->find("sequence_len 4096 is beyond the 2048 positions"),
            std::string::npos);
}

TEST(ContextNote, KnowsStretchedPositions) {
  EXPECT_FALSE(notes(8192, 2048, {.kind = format::RopeKind::kLinear, .factor = 4.0}));
  EXPECT_TRUE(notes(8193, 2048, {.kind = format::RopeKind::kLinear, .factor = 4.0}));
  const format::RopeConfig yarn = {
      .kind = format::RopeKind::kYarn, .factor = 4.0, .original_max_position_embeddings = 32768};
  EXPECT_FALSE(notes(131072, 32768, yarn));
  EXPECT_FALSE(notes(131072, 131072, yarn));
  EXPECT_TRUE(notes(131073, 131072, yarn));
}

}  // namespace
}  // namespace rung::training
