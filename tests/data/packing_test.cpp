// Properties of packing: nothing lost, doubled or split, rows within the limit, few rows.
#include "data/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/random.h"

namespace rung::data {
namespace {

struct Documents {
  std::vector<int64_t> lengths;
  std::vector<int64_t> order;
};

Documents random_documents(int64_t count, int64_t max_length, uint64_t seed) {
  const CounterRandom random(seed, 0);
  Documents documents{.lengths = {}, .order = shuffled_indices(count, seed, 0)};
  for (int64_t i = 0; i < count; ++i) {
    documents.lengths.push_back(1 +
                                static_cast<int64_t>(random.below(
                                    static_cast<uint64_t>(i), static_cast<uint64_t>(max_length))));
  }
  return documents;
}

int64_t row_length(const Row& row, const std::vector<int64_t>& lengths) {
  return std::accumulate(row.begin(), row.end(), int64_t{0}, [&](int64_t sum, int64_t index) {
    return sum + lengths[static_cast<size_t>(index)];
  });
}

TEST(PackRows, KeepsEveryDocumentOnce) {
  const Documents documents = random_documents(1025, 700, 1);
  std::multiset<int64_t> seen;
  for (const Row& row : pack_rows(documents.lengths, documents.order, 1024)) {
    seen.insert(row.begin(), row.end());
  }
  ASSERT_EQ(seen.size(), 1025u);
  EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 1025u);
}

TEST(PackRows, NeverExceedsSequenceLen) {
  const Documents documents = random_documents(500, 333, 2);
  for (const Row& row : pack_rows(documents.lengths, documents.order, 333)) {
    EXPECT_LE(row_length(row, documents.lengths), 333);
  }
}

TEST(PackRows, FillsRowsWell) {
  const Documents documents = random_documents(2000, 512, 3);
  const auto rows = pack_rows(documents.lengths, documents.order, 2048);
  const auto total =
      std::accumulate(documents.lengths.begin(), documents.lengths.end(), int64_t{0});
  EXPECT_GT(static_cast<double>(total), 0.98 * 2048.0 * static_cast<double>(rows.size()));
}

TEST(PackRows, NeedsTheSameNumberOfRowsInAnyOrder) {
  Documents documents = random_documents(777, 100, 4);
  const size_t expected = pack_rows(documents.lengths, documents.order, 128).size();
  for (int64_t epoch = 1; epoch < 5; ++epoch) {
    documents.order = shuffled_indices(777, 4, epoch);
    EXPECT_EQ(pack_rows(documents.lengths, documents.order, 128).size(), expected);
  }
}

// What a plan for every epoch rests on.
TEST(PackRows, PutsTheSameLengthsTogetherInAnyOrder) {
  Documents documents = random_documents(300, 60, 5);
  const auto lengths_together = [&] {
    std::multiset<std::multiset<int64_t>> rows;
    for (const Row& row : pack_rows(documents.lengths, documents.order, 128)) {
      std::multiset<int64_t> lengths;
      for (const int64_t i : row) lengths.insert(documents.lengths[static_cast<size_t>(i)]);
      rows.insert(std::move(lengths));
    }
    return rows;
  };
  const auto expected = lengths_together();
  for (int64_t epoch = 1; epoch < 5; ++epoch) {
    documents.order = shuffled_indices(300, 5, epoch);
    EXPECT_EQ(lengths_together(), expected);
  }
}

TEST(PackRows, FindsAPerfectFit) {
  const std::vector<int64_t> lengths = {6, 3, 4, 7, 10};
  const std::vector<int64_t> order = {0, 1, 2, 3, 4};
  const std::vector<Row> expected = {{0, 2}, {1, 3}, {4}};
  EXPECT_EQ(pack_rows(lengths, order, 10), expected);
}

TEST(PackRows, KeepsTheOrderInsideARow) {
  const std::vector<int64_t> lengths = {1, 3, 2};
  const std::vector<int64_t> order = {2, 0, 1};
  EXPECT_EQ(pack_rows(lengths, order, 6), (std::vector<Row>{{2, 0, 1}}));
}

TEST(PackRows, MakesNoRowsOfNoDocuments) { EXPECT_TRUE(pack_rows({}, {}, 16).empty()); }

}  // namespace
}  // namespace rung::data
