#include "base/user_cache.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "tests/support/scoped_variable.h"
#include "tests/support/temp_dir.h"

namespace rung {
namespace {

namespace fs = std::filesystem;
using rung::testing::ScopedVariable;
using rung::testing::TempDir;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

// A cache in a folder of its own.
class UserCacheTest : public ::testing::Test {
 protected:
  TempDir dir_;
  ScopedVariable home_{"HOME", std::nullopt};
  ScopedVariable caches_{"XDG_CACHE_HOME", dir_.path().string()};
};

TEST_F(UserCacheTest, GivesBackWhatWasWritten) {
  const UserCache cache("part");
  EXPECT_EQ(cache.folder(), dir_ / "rung/part");
  EXPECT_EQ(cache.read("a"), std::nullopt);
  const std::string bytes("\0\n\xff", 3);
  cache.write("a", bytes);
  EXPECT_EQ(cache.read("a"), bytes);
  cache.write("a", "newer");
  EXPECT_EQ(UserCache("part").read("a"), "newer");
  EXPECT_EQ(UserCache("other").read("a"), std::nullopt);
}

TEST_F(UserCacheTest, DropsWhatWasNotUsedForLongest) {
  const UserCache cache("part", {.max_files = 3});
  const auto now = fs::file_time_type::clock::now();
  for (int i = 0; i < 3; ++i) {
    const std::string name(1, static_cast<char>('a' + i));
    cache.write(name, name);
    fs::last_write_time(cache.folder() / name, now - std::chrono::hours(10 - i));
  }
  EXPECT_EQ(cache.read("a"), "a");  // used now
  cache.write("d", "d");
  EXPECT_EQ(names_in(cache.folder()), (std::set<std::string>{"a", "c", "d"}));
}

TEST_F(UserCacheTest, StaysBelowItsSize) {
  const UserCache cache("part", {.max_bytes = 10});
  cache.write("a", "123456");
  fs::last_write_time(cache.folder() / "a",
                      fs::file_time_type::clock::now() - std::chrono::hours(1));
  cache.write("b", "1234");
  EXPECT_EQ(names_in(cache.folder()), (std::set<std::string>{"a", "b"}));
  cache.write("c", "1");
  EXPECT_EQ(names_in(cache.folder()), (std::set<std::string>{"b", "c"}));
  cache.write("d", "12345678901");
  EXPECT_EQ(cache.read("d"), std::nullopt) << "larger than all of it";
}

TEST_F(UserCacheTest, IsNoneWhereItCannotBeWritten) {
  dir_.write("rung", "a file where the folder should be");
  const UserCache cache("part");
  EXPECT_NO_THROW(cache.write("a", "bytes"));
  EXPECT_EQ(cache.read("a"), std::nullopt);
}

TEST_F(UserCacheTest, ReadsNothingButFiles) {
  const UserCache cache("part");
  fs::create_directories(cache.folder() / "a");
  EXPECT_EQ(cache.read("a"), std::nullopt);
  EXPECT_NO_THROW(cache.write("a", "bytes"));
}

TEST_F(UserCacheTest, IsBelowTheHomeWhereNothingElseIsSaid) {
  const ScopedVariable caches("XDG_CACHE_HOME", std::nullopt);
  const ScopedVariable home("HOME", dir_.path().string());
  EXPECT_EQ(UserCache("part").folder(), dir_ / ".cache/rung/part");
}

TEST_F(UserCacheTest, IsNoneWithoutAHome) {
  for (const char* caches : {"", "relative"}) {
    const ScopedVariable relative("XDG_CACHE_HOME", caches);
    for (const std::optional<std::string>& home :
         {std::optional<std::string>(), std::optional<std::string>("relative"),
          std::optional((dir_ / "absent").string())}) {
      const ScopedVariable scoped("HOME", home);
      const UserCache cache("part");
      EXPECT_EQ(cache.folder(), "");
      cache.write("a", "bytes");
      EXPECT_EQ(cache.read("a"), std::nullopt);
    }
  }
  EXPECT_FALSE(fs::exists(dir_ / "absent"));
}

}  // namespace
}  // namespace rung
