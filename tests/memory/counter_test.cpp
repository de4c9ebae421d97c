#include "memory/counter.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace rung::memory {
namespace {

size_t at(Component component) { return static_cast<size_t>(component); }

TEST(Counter, PeakIsTheLargestLive) {
  Counter counter;
  ASSERT_TRUE(counter.add(100, Component::kOther));
  ASSERT_TRUE(counter.add(50, Component::kOther));
  counter.remove(100, Component::kOther);
  ASSERT_TRUE(counter.add(60, Component::kOther));
  EXPECT_EQ(counter.usage().live, 110);
  EXPECT_EQ(counter.usage().peak, 150);
}

TEST(Counter, AtPeakKeepsTheComponentsOfThatMoment) {
  Counter counter;
  ASSERT_TRUE(counter.add(100, Component::kBaseWeights));
  ASSERT_TRUE(counter.add(50, Component::kHead));
  counter.remove(50, Component::kHead);
  ASSERT_TRUE(counter.add(20, Component::kWorkspace));
  const Usage usage = counter.usage();
  EXPECT_EQ(usage.at_peak[at(Component::kBaseWeights)], 100);
  EXPECT_EQ(usage.at_peak[at(Component::kHead)], 50);
  EXPECT_EQ(usage.at_peak[at(Component::kWorkspace)], 0);
  EXPECT_EQ(usage.live_by_component[at(Component::kHead)], 0);
  EXPECT_EQ(usage.live_by_component[at(Component::kWorkspace)], 20);
}

TEST(Counter, ResetPeakStartsFromWhatIsLive) {
  Counter counter;
  ASSERT_TRUE(counter.add(100, Component::kAdapters));
  ASSERT_TRUE(counter.add(900, Component::kOther));
  counter.remove(900, Component::kOther);
  counter.reset_peak();
  EXPECT_EQ(counter.usage().peak, 100);
  EXPECT_EQ(counter.usage().at_peak[at(Component::kAdapters)], 100);
  EXPECT_EQ(counter.usage().at_peak[at(Component::kOther)], 0);
}

TEST(Counter, RefusesPastTheLimitAndCountsNothing) {
  Counter counter;
  counter.set_limit(100);
  ASSERT_TRUE(counter.add(100, Component::kOther));
  EXPECT_FALSE(counter.add(1, Component::kOther));
  EXPECT_EQ(counter.usage().live, 100);
  EXPECT_EQ(counter.usage().peak, 100);
}

TEST(Counter, ZeroIsNoLimit) {
  Counter counter;
  counter.set_limit(10);
  counter.set_limit(0);
  EXPECT_TRUE(counter.add(int64_t{1} << 40, Component::kOther));
}

TEST(Counter, LibraryBytesAreKeptApartFromLiveAndPeak) {
  Counter counter;
  ASSERT_TRUE(counter.add(100, Component::kOther));
  ASSERT_TRUE(counter.add(40, Component::kLibrary));
  EXPECT_EQ(counter.usage().live, 100);
  EXPECT_EQ(counter.usage().peak, 100);
  EXPECT_EQ(counter.usage().library, 40);
  counter.remove(40, Component::kLibrary);
  EXPECT_EQ(counter.usage().library, 0);
  EXPECT_EQ(counter.usage().live, 100);
}

TEST(Counter, LimitCoversLibraryBytes) {
  Counter counter;
  counter.set_limit(100);
  ASSERT_TRUE(counter.add(70, Component::kLibrary));
  EXPECT_FALSE(counter.add(31, Component::kOther));
  EXPECT_TRUE(counter.add(30, Component::kOther));
  EXPECT_FALSE(counter.add(1, Component::kLibrary));
}

TEST(ComponentScope, NestsAndReturnsToTheOuterOne) {
  EXPECT_EQ(ComponentScope::current(), Component::kOther);
  {
    const ComponentScope outer(Component::kHead);
    {
      const ComponentScope inner(Component::kWorkspace);
      EXPECT_EQ(ComponentScope::current(), Component::kWorkspace);
    }
    EXPECT_EQ(ComponentScope::current(), Component::kHead);
  }
  EXPECT_EQ(ComponentScope::current(), Component::kOther);
}

TEST(ComponentScope, BelongsToItsThread) {
  const ComponentScope scope(Component::kHead);
  Component seen = Component::kHead;
  std::thread([&] { seen = ComponentScope::current(); }).join();
  EXPECT_EQ(seen, Component::kOther);
}

TEST(Component, NamesAreDistinct) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kNumComponents; ++i) names.insert(name_of(static_cast<Component>(i)));
  EXPECT_EQ(names.size(), kNumComponents);
  EXPECT_EQ(name_of(Component::kBaseWeights), "base_weights");
  EXPECT_EQ(name_of(Component::kLibrary), "library");
}

}  // namespace
}  // namespace rung::memory
