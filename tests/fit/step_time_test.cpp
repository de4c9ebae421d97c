// The time of a step as settings are compared by it: which is slower, and by about how much.
#include "fit/step_time.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/data_file.h"
#include "data/split.h"
#include "format/shape_file.h"
#include "tests/support/tiny_transformer.h"

namespace rung::fit {
namespace {

using model::Checkpoints;
using model::Dequantisation;

// Llama 3.1 8B in NF4, two rows of 2,048 tokens.
class StepTime : public ::testing::Test {
 protected:
  StepTime() {
    const auto shapes = format::read_shapes(find_data_file("shapes.yaml"));
    shape_.config = format::find_shape(shapes, "llama-3.1-8b").config;
    shape_.adapter = {.r = 16, .modules = rung::testing::all_linears(shape_.config.num_layers)};
    shape_.model.stands_for = c10::kCUDA;
    std::vector<data::Example> rows(2);
    for (data::Example& row : rows) {
      row.input_ids.assign(2048, 1);
      row.labels = row.input_ids;
    }
    shape_.batch = rung::testing::step_batch(rows, {{0, 1}});
    start_.memory.dequantisation = Dequantisation::kOnceABlock;
  }
  // Relative to the step as it is.
  double slower(const StepSettings& settings) const {
    const DeviceRates rates = assumed_rates(c10::kCUDA);
    return seconds_of(work_of(shape_), settings, rates) /
           seconds_of(work_of(shape_), start_, rates);
  }

  StepShape shape_;
  StepSettings start_;
};

TEST_F(StepTime, RecomputingEveryBlockTakesAThirdToAHalfLonger) {
  StepSettings all = start_;
  all.memory.num_recomputed = shape_.config.num_layers;
  EXPECT_GT(slower(all), 1.3);
  EXPECT_LT(slower(all), 1.5);
  StepSettings half = all;
  half.memory.num_recomputed /= 2;
  EXPECT_NEAR(slower(half) - 1.0, 0.5 * (slower(all) - 1.0), 1e-9);
}

// The host launches 100 kernels a block and pass, however few tokens they are for.
TEST_F(StepTime, ShortPartsOfASmallModelWaitForTheirLaunches) {
  const auto shapes = format::read_shapes(find_data_file("shapes.yaml"));
  shape_.config = format::find_shape(shapes, "smollm2-135m").config;
  shape_.adapter.modules = rung::testing::all_linears(shape_.config.num_layers);
  StepSettings parts = start_;
  parts.split = 2;
  EXPECT_NEAR(slower(parts), 2.0, 0.2);
  const double seconds = seconds_of(work_of(shape_), parts, assumed_rates(c10::kCUDA));
  EXPECT_NEAR(seconds, 2 * 3 * 30 * 0.55e-3, 1e-6);
}

TEST_F(StepTime, PartsReadTheWeightsAgain) {
  StepSettings parts = start_;
  parts.split = 2;
  EXPECT_GT(slower(parts), 1.02);
  EXPECT_LT(slower(parts), 1.3);
}

TEST_F(StepTime, SharingADequantisationSavesOne) {
  StepSettings shared = start_;
  shared.memory.num_recomputed = shape_.config.num_layers;
  StepSettings each = shared;
  each.memory.dequantisation = Dequantisation::kEachProduct;
  EXPECT_GT(slower(each), slower(shared));
}

TEST_F(StepTime, SmallerChunksReadTheHeadAgain) {
  StepSettings chunks = start_;
  chunks.memory.head_chunk_bytes = kLeastHeadChunk;
  EXPECT_GT(slower(chunks), 1.01);
}

TEST_F(StepTime, CopiesBesideTheComputationCostLittle) {
  StepSettings device = start_;
  device.memory.num_recomputed = shape_.config.num_layers;
  StepSettings host = device;
  host.memory.checkpoints = Checkpoints::kOnHost;
  EXPECT_GT(slower(host), slower(device));
  EXPECT_LT(slower(host), 1.05 * slower(device));
}

TEST_F(StepTime, CopiesThatTakeLongerThanTheRestAreWhatCounts) {
  const DeviceRates rates = assumed_rates(c10::kCUDA);
  shape_.batch.micro_batches[0] = data::split_micro_batch(shape_.batch.micro_batches[0], 2)[0];
  shape_.model.num_streamed = shape_.config.num_layers;
  // 6.98 billion weights of 4.5 bits, twice, at 25 GB/s.
  EXPECT_GT(seconds_of(work_of(shape_), start_, rates), 2 * 6.9e9 * 0.56 / 25e9);
}

TEST_F(StepTime, TilesReadTheMlpAgain) {
  StepSettings whole = start_;
  whole.memory.num_recomputed = shape_.config.num_layers;
  StepSettings tiles = whole;
  tiles.memory.mlp_tile = 1024;
  EXPECT_GT(slower(tiles), slower(whole));
  EXPECT_LT(slower(tiles), 1.1 * slower(whole));
}

}  // namespace
}  // namespace rung::fit
