// Each rule of the allocator by name.
#include "memory/caching_model.h"

#include <c10/core/AllocatorConfig.h>
#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace rung::memory {
namespace {

using LibTorch = c10::CachingAllocator::AcceleratorAllocatorConfig;

constexpr int64_t kKiB = int64_t{1} << 10;
constexpr int64_t kMiB = int64_t{1} << 20;
constexpr CachingOptions kExpandable{.segments = SegmentKind::kExpandable};

int64_t reserved_for(int64_t bytes, const CachingOptions& options = {}) {
  CachingModel model(options);
  EXPECT_TRUE(model.allocate(1, bytes));
  return model.stats().reserved;
}

int64_t allocated_for(int64_t bytes) {
  CachingModel model;
  EXPECT_TRUE(model.allocate(1, bytes));
  return model.stats().allocated;
}

// The constants of the LibTorch that is built against.

TEST(CachingModelConstants, SizesAreLibTorchs) {
  namespace libtorch = c10::CachingAllocator;
  const auto of = [](size_t bytes) { return static_cast<int64_t>(bytes); };
  const int64_t largest_small = of(libtorch::kSmallSize);
  const int64_t made_to_measure = of(libtorch::kMinLargeAlloc);
  const int64_t large_segment = of(LibTorch::large_segment_size());
  EXPECT_EQ(allocated_for(1), of(libtorch::kMinBlockSize));
  EXPECT_EQ(reserved_for(largest_small), of(libtorch::kSmallBuffer));
  EXPECT_EQ(reserved_for(largest_small + 1), large_segment);
  EXPECT_EQ(reserved_for(made_to_measure - 512), large_segment);
  EXPECT_EQ(reserved_for(made_to_measure), made_to_measure);
  EXPECT_EQ(reserved_for(made_to_measure + 1), made_to_measure + of(libtorch::kRoundLarge));
}

TEST(CachingModelConstants, DefaultsAreLibTorchs) {
  EXPECT_FALSE(LibTorch::use_expandable_segments());
  EXPECT_EQ(CachingOptions{}.segments, SegmentKind::kFixed);
  EXPECT_EQ(LibTorch::max_split_size(), std::numeric_limits<size_t>::max());
  EXPECT_EQ(CachingOptions{}.max_split_size, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(LibTorch::max_non_split_rounding_size(), static_cast<size_t>(20 * kMiB));
}

TEST(CachingModelConstants, WhatIsNotModelledIsOffInLibTorch) {
  EXPECT_EQ(LibTorch::garbage_collection_threshold(), 0.0);
  for (size_t size = 1; size < size_t{1} << 38; size *= 2) {
    EXPECT_EQ(LibTorch::roundup_power2_divisions(size), 0u) << size;
  }
}

// One rule each, fixed segments.

TEST(CachingModel, RoundsUpTo512Bytes) {
  for (const auto& [asked, rounded] : {std::pair<int64_t, int64_t>{1, 512},
                                       {512, 512},
                                       {513, 1024},
                                       {kMiB - 1, kMiB},
                                       {12 * kMiB + 1, 12 * kMiB + 512}}) {
    EXPECT_EQ(allocated_for(asked), rounded) << asked;
  }
}

TEST(CachingModel, SmallBlocksShareASegmentOf2MiB) {
  CachingModel model;
  // Four of 512 KiB fill 2 MiB; the fifth needs a second segment.
  for (uint64_t id = 1; id <= 4; ++id) {
    ASSERT_TRUE(model.allocate(id, 512 * kKiB));
    EXPECT_EQ(model.stats().reserved, 2 * kMiB) << id;
  }
  ASSERT_TRUE(model.allocate(5, 512 * kKiB));
  EXPECT_EQ(model.stats().reserved, 4 * kMiB);
  EXPECT_EQ(model.stats().num_segments, 2);
}

TEST(CachingModel, BlocksUnder10MiBShareASegmentOf20MiB) {
  CachingModel model;
  // 9 + 9 of 20 MiB; the 2 MiB that are left do not hold a third.
  ASSERT_TRUE(model.allocate(1, 9 * kMiB));
  ASSERT_TRUE(model.allocate(2, 9 * kMiB));
  EXPECT_EQ(model.stats().reserved, 20 * kMiB);
  ASSERT_TRUE(model.allocate(3, 9 * kMiB));
  EXPECT_EQ(model.stats().reserved, 40 * kMiB);
}

TEST(CachingModel, LargerBlocksHaveSegmentsOfTheirOwnRoundedTo2MiB) {
  EXPECT_EQ(reserved_for(10 * kMiB), 10 * kMiB);
  EXPECT_EQ(reserved_for(10 * kMiB + 1), 12 * kMiB);
  EXPECT_EQ(reserved_for(101 * kMiB), 102 * kMiB);
}

TEST(CachingModel, PoolsAreSearchedApart) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, 20 * kMiB));
  model.free(1);
  // 20 MiB are free, but in the large pool.
  ASSERT_TRUE(model.allocate(2, kMiB));
  EXPECT_EQ(model.stats().reserved, 22 * kMiB);
  ASSERT_TRUE(model.allocate(3, kMiB + 1));
  EXPECT_EQ(model.stats().reserved, 22 * kMiB);
}

TEST(CachingModel, StreamsAreSearchedApart) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, 4 * kMiB, /*stream=*/7));
  model.free(1);
  ASSERT_TRUE(model.allocate(2, 4 * kMiB, /*stream=*/3));
  EXPECT_EQ(model.stats().reserved, 40 * kMiB);
  ASSERT_TRUE(model.allocate(3, 4 * kMiB, /*stream=*/7));
  EXPECT_EQ(model.stats().reserved, 40 * kMiB);
}

TEST(CachingModel, ASmallRestOf512BytesIsCutOff) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, kMiB));
  ASSERT_TRUE(model.allocate(2, kMiB - 512));
  EXPECT_EQ(model.stats().inactive_split, 512);
  ASSERT_TRUE(model.allocate(3, 1));
  EXPECT_EQ(model.stats().reserved, 2 * kMiB);
  EXPECT_EQ(model.stats().allocated, 2 * kMiB);
}

TEST(CachingModel, ALargeRestOf1MiBStaysInTheBlock) {
  CachingModel model;
  // 11 MiB in a segment of 12: the rest, 1 MiB, is not more than 1 MiB.
  ASSERT_TRUE(model.allocate(1, 11 * kMiB));
  EXPECT_EQ(model.stats().allocated, 12 * kMiB);
  EXPECT_EQ(model.stats().inactive_split, 0);
}

TEST(CachingModel, ALargeRestOverAMiBIsCutOff) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, 11 * kMiB - 512));
  EXPECT_EQ(model.stats().allocated, 11 * kMiB - 512);
  EXPECT_EQ(model.stats().inactive_split, kMiB + 512);
}

TEST(CachingModel, TakesTheSmallestFreeBlockThatFits) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, 30 * kMiB));
  ASSERT_TRUE(model.allocate(2, 12 * kMiB));
  ASSERT_TRUE(model.allocate(3, 16 * kMiB));
  const int64_t of_16 = model.address_of(3);
  for (uint64_t id = 1; id <= 3; ++id) model.free(id);
  ASSERT_TRUE(model.allocate(4, 13 * kMiB));
  EXPECT_EQ(model.address_of(4), of_16);
}

TEST(CachingModel, TakesTheLowestAddressAmongEqualBlocks) {
  CachingModel model;
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(model.allocate(id, 12 * kMiB));
  const int64_t lower = model.address_of(2);
  model.free(3);
  model.free(2);
  ASSERT_TRUE(model.allocate(4, 12 * kMiB));
  EXPECT_EQ(model.address_of(4), lower);
}

TEST(CachingModel, AFreedBlockJoinsBothFreeNeighbours) {
  CachingModel model;
  // 6 + 6 + 6 of 20 MiB, 2 MiB left. The middle one, freed last, makes one block of all.
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(model.allocate(id, 6 * kMiB));
  model.free(1);
  model.free(3);
  EXPECT_EQ(model.blocks().free(CachePool::kLarge).size(), 2u);  // 6, and 6 + 2
  EXPECT_EQ(model.stats().inactive_split, 14 * kMiB);
  model.free(2);
  ASSERT_EQ(model.blocks().free(CachePool::kLarge).size(), 1u);
  EXPECT_EQ(model.blocks().free(CachePool::kLarge).begin()->size, 20 * kMiB);
  EXPECT_EQ(model.stats().inactive_split, 0);
}

TEST(CachingModel, BlocksOfDifferentSegmentsAreNotJoined) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, 12 * kMiB));
  ASSERT_TRUE(model.allocate(2, 12 * kMiB));
  model.free(1);
  model.free(2);
  ASSERT_TRUE(model.allocate(3, 24 * kMiB));
  EXPECT_EQ(model.stats().reserved, 48 * kMiB);
}

TEST(CachingModel, FreedSegmentsStayReserved) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, 100 * kMiB));
  model.free(1);
  EXPECT_EQ(model.stats().reserved, 100 * kMiB);
  EXPECT_EQ(model.stats().allocated, 0);
  EXPECT_EQ(model.stats().reserved_peak, 100 * kMiB);
  EXPECT_EQ(model.stats().allocated_peak, 100 * kMiB);
}

TEST(CachingModel, ReleaseGivesBackOnlySegmentsThatAreFreeThroughout) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, 6 * kMiB));  // 20
  ASSERT_TRUE(model.allocate(2, 6 * kMiB));
  ASSERT_TRUE(model.allocate(3, 40 * kMiB));  // 40
  ASSERT_TRUE(model.allocate(4, 100));        // 2
  model.free(1);
  model.free(3);
  model.free(4);
  model.release_cached();
  EXPECT_EQ(model.stats().reserved, 20 * kMiB);
  EXPECT_EQ(model.stats().num_segments, 1);
}

TEST(CachingModel, ResetPeaksStartsFromWhatIsThere) {
  CachingModel model;
  ASSERT_TRUE(model.allocate(1, 100 * kMiB));
  model.free(1);
  model.release_cached();
  model.reset_peaks();
  EXPECT_EQ(model.stats().reserved_peak, 0);
  EXPECT_EQ(model.stats().allocated_peak, 0);
}

// The limit.

TEST(CachingModelLimit, CachedSegmentsAreGivenBackBeforeItIsPassed) {
  CachingModel model({.limit = 64 * kMiB});
  ASSERT_TRUE(model.allocate(1, 30 * kMiB));
  ASSERT_TRUE(model.allocate(2, 30 * kMiB));
  model.free(1);
  // 40 in place of the 30 that are free: 60 + 40 > 64, 30 + 40 > 64 too.
  EXPECT_FALSE(model.allocate(3, 40 * kMiB));
  EXPECT_EQ(model.stats().reserved, 30 * kMiB);
  // 30 + 34 is the limit itself.
  ASSERT_TRUE(model.allocate(4, 34 * kMiB));
  EXPECT_EQ(model.stats().reserved, 64 * kMiB);
  EXPECT_EQ(model.stats().num_retries, 1);
  EXPECT_EQ(model.stats().num_failures, 1);
}

TEST(CachingModelLimit, RetryTakesWhatTheCacheHeld) {
  CachingModel model({.limit = 50 * kMiB});
  ASSERT_TRUE(model.allocate(1, 30 * kMiB));
  model.free(1);
  ASSERT_TRUE(model.allocate(2, 40 * kMiB));
  EXPECT_EQ(model.stats().reserved, 40 * kMiB);
  EXPECT_EQ(model.stats().reserved_peak, 40 * kMiB);
  EXPECT_EQ(model.stats().num_retries, 1);
  EXPECT_EQ(model.stats().num_failures, 0);
}

TEST(CachingModelLimit, CountsWholeSegments) {
  // 2 MiB fit in 19, the segment of 20 for it does not.
  CachingModel model({.limit = 19 * kMiB});
  EXPECT_FALSE(model.allocate(1, 2 * kMiB));
  EXPECT_TRUE(model.allocate(2, kMiB));
}

TEST(CachingModelLimit, FragmentsAreNoHelp) {
  CachingModel model({.limit = 40 * kMiB});
  for (uint64_t id = 1; id <= 4; ++id) ASSERT_TRUE(model.allocate(id, 9 * kMiB));
  model.free(1);
  model.free(3);
  // 18 MiB and more are free, 9 and 9 apart, in segments that are in use.
  EXPECT_FALSE(model.allocate(5, 10 * kMiB));
  EXPECT_EQ(model.stats().inactive_split, 22 * kMiB);
  EXPECT_EQ(model.stats().reserved, 40 * kMiB);
}

TEST(CachingModelLimit, WhatDidNotFitCanBeFreedAgain) {
  CachingModel model({.limit = kMiB});
  EXPECT_FALSE(model.allocate(1, 100));
  model.free(1);
  EXPECT_EQ(model.stats().allocated, 0);
  EXPECT_EQ(model.stats().num_failures, 1);
}

TEST(CachingModelLimit, ARequestPastAnyDeviceFails) {
  for (const CachingOptions& options : {CachingOptions{}, kExpandable}) {
    CachingModel model(options);
    EXPECT_FALSE(model.allocate(1, int64_t{1} << 60));
    EXPECT_EQ(model.stats().reserved, 0);
  }
}

// max_split_size.

TEST(CachingModelMaxSplit, OversizeBlocksAreNotForSmallerRequests) {
  CachingModel model({.max_split_size = 32 * kMiB});
  ASSERT_TRUE(model.allocate(1, 40 * kMiB));
  model.free(1);
  ASSERT_TRUE(model.allocate(2, 20 * kMiB));
  EXPECT_EQ(model.stats().reserved, 60 * kMiB);
}

TEST(CachingModelMaxSplit, OversizeBlocksAreNotCut) {
  CachingModel model({.max_split_size = 32 * kMiB});
  ASSERT_TRUE(model.allocate(1, 50 * kMiB));
  model.free(1);
  ASSERT_TRUE(model.allocate(2, 40 * kMiB));
  EXPECT_EQ(model.stats().reserved, 50 * kMiB);
  EXPECT_EQ(model.stats().allocated, 50 * kMiB);
}

TEST(CachingModelMaxSplit, AnOversizeBlockMayBeLargerByLessThan20MiB) {
  CachingModel model({.max_split_size = 32 * kMiB});
  ASSERT_TRUE(model.allocate(1, 60 * kMiB));
  model.free(1);
  ASSERT_TRUE(model.allocate(2, 40 * kMiB));
  EXPECT_EQ(model.stats().reserved, 100 * kMiB);
  ASSERT_TRUE(model.allocate(3, 40 * kMiB + 512));
  EXPECT_EQ(model.stats().reserved, 100 * kMiB);
}

TEST(CachingModelMaxSplit, JustEnoughOversizeIsGivenBackFirst) {
  CachingModel model({.limit = 150 * kMiB, .max_split_size = 32 * kMiB});
  for (const auto& [id, size] : {std::pair<uint64_t, int64_t>{1, 40}, {2, 70}, {3, 30}}) {
    ASSERT_TRUE(model.allocate(id, size * kMiB));
  }
  for (uint64_t id = 1; id <= 3; ++id) model.free(id);
  // 31 is under max_split_size, so that 40 and 70 are not for it, and 30 is too small. The smallest
  // oversize block goes: 140 - 40 + 32; the 30 stays.
  ASSERT_TRUE(model.allocate(4, 31 * kMiB));
  EXPECT_EQ(model.stats().reserved, 132 * kMiB);
  EXPECT_EQ(model.stats().num_retries, 0);
}

TEST(CachingModelMaxSplit, TheLargestGoFirstWhereNoneIsLargeEnough) {
  CachingModel model({.limit = 150 * kMiB, .max_split_size = 32 * kMiB});
  for (const auto& [id, size] : {std::pair<uint64_t, int64_t>{1, 34}, {2, 46}, {3, 60}}) {
    ASSERT_TRUE(model.allocate(id, size * kMiB));
  }
  for (uint64_t id = 1; id <= 3; ++id) model.free(id);
  // 60, then 46: 140 - 106 + 100; the 34 stays.
  ASSERT_TRUE(model.allocate(4, 100 * kMiB));
  EXPECT_EQ(model.stats().reserved, 134 * kMiB);
  EXPECT_EQ(model.stats().num_retries, 0);
}

// Expandable segments.

TEST(CachingModelExpandable, MapsPagesOf2And20MiB) {
  EXPECT_EQ(reserved_for(1, kExpandable), 2 * kMiB);
  EXPECT_EQ(reserved_for(2 * kMiB, kExpandable), 20 * kMiB);
  EXPECT_EQ(reserved_for(12 * kMiB, kExpandable), 20 * kMiB);
  EXPECT_EQ(reserved_for(20 * kMiB + 1, kExpandable), 40 * kMiB);
}

TEST(CachingModelExpandable, GrowsAtTheEndByWhatIsMissing) {
  CachingModel model(kExpandable);
  ASSERT_TRUE(model.allocate(1, 30 * kMiB));  // 2 pages, 10 MiB left
  EXPECT_EQ(model.stats().reserved, 40 * kMiB);
  ASSERT_TRUE(model.allocate(2, 25 * kMiB));  // 15 missing: 1 page
  EXPECT_EQ(model.stats().reserved, 60 * kMiB);
  EXPECT_EQ(model.address_of(2), model.address_of(1) + 30 * kMiB);
  EXPECT_EQ(model.stats().num_segments, 1);
}

TEST(CachingModelExpandable, AFreedTailIsPartOfALargerBlock) {
  CachingModel model(kExpandable);
  ASSERT_TRUE(model.allocate(1, 40 * kMiB));
  ASSERT_TRUE(model.allocate(2, 40 * kMiB));
  model.free(2);
  // Fixed segments would keep 40 and add 60. Here 40 are there: 1 page.
  ASSERT_TRUE(model.allocate(3, 60 * kMiB));
  EXPECT_EQ(model.stats().reserved, 100 * kMiB);
}

TEST(CachingModelExpandable, EveryRestOf512BytesIsCutOff) {
  CachingModel model(kExpandable);
  ASSERT_TRUE(model.allocate(1, 20 * kMiB - 512));
  EXPECT_EQ(model.stats().allocated, 20 * kMiB - 512);
  ASSERT_EQ(model.blocks().free(CachePool::kLarge).size(), 1u);
  EXPECT_EQ(model.blocks().free(CachePool::kLarge).begin()->size, 512);
}

TEST(CachingModelExpandable, TheBlockThatCanGrowIsTakenLast) {
  CachingModel model(kExpandable);
  ASSERT_TRUE(model.allocate(1, 12 * kMiB));
  const int64_t hole = model.address_of(1);
  ASSERT_TRUE(model.allocate(2, 18 * kMiB));
  model.free(1);
  // Free: 12 MiB at the start, 10 MiB at the end. The latter is the better fit for 5 but counts
  // with all the addresses behind it.
  ASSERT_TRUE(model.allocate(3, 5 * kMiB));
  EXPECT_EQ(model.address_of(3), hole);
}

TEST(CachingModelExpandable, ReleaseUnmapsWholePagesInsideFreeBlocks) {
  CachingModel model(kExpandable);
  ASSERT_TRUE(model.allocate(1, 10 * kMiB));
  ASSERT_TRUE(model.allocate(2, 65 * kMiB));  // 10 .. 75: pages 1 and 2 (20 .. 60) are inside
  ASSERT_TRUE(model.allocate(3, 5 * kMiB));   // 75 .. 80
  EXPECT_EQ(model.stats().reserved, 80 * kMiB);
  model.free(2);
  model.release_cached();
  EXPECT_EQ(model.stats().reserved, 40 * kMiB);
  EXPECT_EQ(model.stats().allocated, 15 * kMiB);
}

TEST(CachingModelExpandable, UnmappedGapsAreMappedAgainBeforeTheEnd) {
  CachingModel model(kExpandable);
  ASSERT_TRUE(model.allocate(1, 10 * kMiB));
  ASSERT_TRUE(model.allocate(2, 65 * kMiB));
  ASSERT_TRUE(model.allocate(3, 5 * kMiB));
  model.free(2);
  model.release_cached();
  // 10 free, 40 unmapped, 15 free: 62 MiB take all three, with 2 pages mapped.
  ASSERT_TRUE(model.allocate(4, 62 * kMiB));
  EXPECT_EQ(model.address_of(4), model.address_of(1) + 10 * kMiB);
  EXPECT_EQ(model.stats().reserved, 80 * kMiB);
}

TEST(CachingModelExpandable, AllFreeAndReleasedLeavesNothing) {
  CachingModel model(kExpandable);
  ASSERT_TRUE(model.allocate(1, 100));
  ASSERT_TRUE(model.allocate(2, 50 * kMiB));
  model.free(1);
  model.free(2);
  model.release_cached();
  EXPECT_EQ(model.stats().reserved, 0);
  EXPECT_EQ(model.stats().num_segments, 0);
  EXPECT_TRUE(model.blocks().all().empty());
}

TEST(CachingModelExpandable, RetryUnmapsFreePagesInTheMiddle) {
  CachingModel model({.segments = SegmentKind::kExpandable, .limit = 100 * kMiB});
  ASSERT_TRUE(model.allocate(1, 60 * kMiB));
  ASSERT_TRUE(model.allocate(2, 20 * kMiB));
  model.free(1);
  // 60 of the 80 MiB are free but too small; 80 + 70 > 100. Without them 20 + 70 fit, in 4 pages.
  // The addresses of the first 60 are too few as well.
  ASSERT_TRUE(model.allocate(3, 70 * kMiB));
  EXPECT_EQ(model.stats().reserved, 100 * kMiB);
  EXPECT_GT(model.address_of(3), model.address_of(2));
  EXPECT_EQ(model.stats().num_retries, 1);
}

TEST(CachingModelExpandable, TheLimitIsPassedByLessThanAPage) {
  CachingModel model({.segments = SegmentKind::kExpandable, .limit = 32 * kMiB});
  // Checked: 0 + 32 <= 32. Mapped: 2 pages.
  ASSERT_TRUE(model.allocate(1, 31 * kMiB));
  EXPECT_EQ(model.stats().reserved, 40 * kMiB);
}

}  // namespace
}  // namespace rung::memory
