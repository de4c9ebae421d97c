#include "base/publish.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/manifest.h"
#include "base/sha256.h"
#include "tests/support/expect_error.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temp_dir.h"

namespace rung {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::TempDir;

std::set<std::string> names_in(const fs::path& dir) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir)) names.insert(entry.path().filename());
  return names;
}

void write_text(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A published folder "x" with two files.
void publish_sample(const TempDir& dir) {
  StagedDir staged(dir / "x");
  write_text(staged.path() / "a.bin", "12345");
  write_text(staged.path() / "sub/b.bin", "678");
  staged.publish();
}

// Runs `action` in a process that then dies without cleaning up.
template <class Action>
void run_and_die(Action action) {
  const pid_t child = ::fork();
  if (child == 0) {
    action();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
}

TEST(Sha256, MatchesThePublishedVectors) {
  EXPECT_EQ(sha256_of_text(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of_text("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const TempDir dir;
  const std::string text(3'000'001, 'x');
  EXPECT_EQ(sha256_of_file(dir.write("f", text)), sha256_of_text(text));
  expect_error(ExitCode::kDamaged, "none", [&] { sha256_of_file(dir / "none"); });
}

TEST(PublishFile, WritesAndReplaces) {
  const TempDir dir;
  publish_file(dir / "new/f", "one");
  publish_file(dir / "new/f", "two");
  EXPECT_EQ(dir.read("new/f"), "two");
  EXPECT_EQ(names_in(dir / "new"), std::set<std::string>{"f"});
}

TEST(PublishFile, FullDiskLeavesTheOldFile) {
  const TempDir dir;
  dir.write("f", "old");
  {
    const testing::FileSizeLimit limit(1000);
    expect_error(ExitCode::kDamaged, "the file cannot be written: got File too large",
                 [&] { publish_file(dir / "f", std::string(5000, 'x')); });
  }
  EXPECT_EQ(dir.read("f"), "old");
  EXPECT_EQ(names_in(dir.path()), std::set<std::string>{"f"});
}

TEST(PublishFile, AFileInTheWayIsAConfigError) {
  const TempDir dir;
  dir.write("f", "");
  expect_error(ExitCode::kConfig, "Not a directory", [&] { publish_file(dir / "f/g", "x"); });
}

TEST(StagedFile, IsRemovedUnlessPublished) {
  const TempDir dir;
  {
    const StagedFile staged(dir / "f");
    write_text(staged.path(), "half");
  }
  EXPECT_TRUE(names_in(dir.path()).empty());
}

TEST(StagedDir, AppearsWithItsManifest) {
  const TempDir dir;
  publish_sample(dir);
  EXPECT_EQ(names_in(dir.path()), std::set<std::string>{"x"});
  const Json manifest = read_json_file(dir / "x/manifest.json");
  EXPECT_EQ(manifest["files"][0]["name"], "a.bin");
  EXPECT_EQ(manifest["files"][0]["bytes"], 5);
  EXPECT_EQ(manifest["files"][0]["sha256"], sha256_of_text("12345"));
  EXPECT_EQ(manifest["files"][1]["name"], "sub/b.bin");
}

TEST(StagedDir, IsRemovedUnlessPublished) {
  const TempDir dir;
  {
    const StagedDir staged(dir / "x");
    write_text(staged.path() / "a", "half");
  }
  EXPECT_TRUE(names_in(dir.path()).empty());
}

TEST(StagedDir, RefusesToOverwrite) {
  const TempDir dir;
  publish_sample(dir);
  StagedDir staged(dir / "x");
  expect_error(ExitCode::kConfig, "the folder exists already", [&] { staged.publish(); });
  EXPECT_EQ(verify_manifest(dir / "x").size(), 2u);
}

TEST(StagedDir, ReplacesOnRequest) {
  const TempDir dir;
  publish_sample(dir);
  StagedDir staged((dir / "x/").string());
  write_text(staged.path() / "c", "new");
  staged.publish(OnExisting::kReplace);
  EXPECT_EQ(names_in(dir / "x"), (std::set<std::string>{"c", "manifest.json"}));
  EXPECT_EQ(names_in(dir.path()), std::set<std::string>{"x"});
}

TEST(StagedDir, KilledBeforePublishLeavesOnlyAPartial) {
  const TempDir dir;
  run_and_die([&] {
    const StagedDir staged(dir / "x");
    write_text(staged.path() / "a", "half");
    ::_exit(0);
  });
  EXPECT_FALSE(fs::exists(dir / "x"));
  EXPECT_EQ(names_in(dir.path()).size(), 1u);
  remove_partials(dir.path());
  EXPECT_TRUE(names_in(dir.path()).empty());
}

TEST(RemovePartials, KeepsEverythingElse) {
  const TempDir dir;
  dir.write("a.partial-1", "");
  dir.write(".hidden", "");
  dir.write(".x.partial-99-0/f", "");
  remove_partials(dir.path());
  EXPECT_EQ(names_in(dir.path()), (std::set<std::string>{".hidden", "a.partial-1"}));
}

TEST(VerifyManifest, PassesWhatWasPublished) {
  const TempDir dir;
  publish_sample(dir);
  fs::rename(dir / "x", dir / "moved");
  const std::vector<ManifestEntry> entries = verify_manifest(dir / "moved");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1].name, "sub/b.bin");
}

TEST(VerifyManifest, NamesTheDamagedFile) {
  const TempDir dir;
  publish_sample(dir);
  dir.write("x/a.bin", "12346");
  expect_error(ExitCode::kDamaged, "SHA-256", [&] { verify_manifest(dir / "x"); });
  expect_error(ExitCode::kDamaged, "a.bin", [&] { verify_manifest(dir / "x"); });
}

TEST(VerifyManifest, NamesTheShortenedFile) {
  const TempDir dir;
  publish_sample(dir);
  fs::resize_file(dir / "x/sub/b.bin", 2);
  expect_error(ExitCode::kDamaged, "got 2 bytes, expected 3 bytes",
               [&] { verify_manifest(dir / "x"); });
}

TEST(VerifyManifest, NamesTheMissingFile) {
  const TempDir dir;
  publish_sample(dir);
  fs::remove(dir / "x/sub/b.bin");
  expect_error(ExitCode::kDamaged, "b.bin", [&] { verify_manifest(dir / "x"); });
}

TEST(VerifyManifest, RefusesFoldersWithoutOne) {
  const TempDir dir;
  expect_error(ExitCode::kDamaged, "it was not finished", [&] { verify_manifest(dir.path()); });
}

TEST(VerifyManifest, RefusesDamagedManifests) {
  const TempDir dir;
  for (const char* text : {"", "{", "[]", "{\"format\":\"x\",\"files\":[]}",
                           "{\"format\":\"rung-manifest-1\",\"files\":{}}",
                           "{\"format\":\"rung-manifest-1\",\"files\":[1]}",
                           "{\"format\":\"rung-manifest-1\",\"files\":[{\"name\":\"a\",\"bytes\":-"
                           "1,\"sha256\":\"\"}]}"}) {
    dir.write("manifest.json", text);
    expect_error(ExitCode::kDamaged, "manifest", [&] { verify_manifest(dir.path()); });
  }
}

TEST(VerifyManifest, RefusesNamesThatLeadOutside) {
  const TempDir dir;
  for (const char* name : {"../a", "/etc/passwd", "b/../../a", "", "./a"}) {
    const Json manifest = {{"format", "rung-manifest-1"},
                           {"files", {{{"name", name}, {"bytes", 0u}, {"sha256", ""}}}}};
    dir.write("x/manifest.json", manifest.dump());
    expect_error(ExitCode::kDamaged, "outside the folder", [&] { verify_manifest(dir / "x"); });
  }
}

TEST(VerifyManifest, RefusesOneWithoutANeededFile) {
  const TempDir dir;
  dir.write("x/a.bin", "abc");
  dir.write("x/b.bin", "def");
  write_manifest(dir / "x");
  constexpr std::array<std::string_view, 2> kBoth = {"a.bin", "b.bin"};
  EXPECT_NO_THROW(verify_manifest(dir / "x", kBoth));
  Json manifest = read_json_file(dir / "x/manifest.json");
  manifest["files"].erase(1);
  dir.write("x/manifest.json", manifest.dump());
  EXPECT_NO_THROW(verify_manifest(dir / "x"));
  expect_error(ExitCode::kDamaged, "does not list a file that is needed: expected b.bin",
               [&] { verify_manifest(dir / "x", kBoth); });
}

TEST(DirLock, IsHeldByOneAtATime) {
  const TempDir dir;
  {
    const DirLock lock(dir / "out");
    expect_error(ExitCode::kConfig, "got pid " + std::to_string(::getpid()),
                 [&] { const DirLock second(dir / "out"); });
  }
  EXPECT_NO_THROW(DirLock(dir / "out"));
}

TEST(DirLock, LeavesNothingOfItsOwnBehind) {
  const TempDir dir;
  { const DirLock lock(dir / "runs/out"); }
  EXPECT_FALSE(std::filesystem::exists(dir / "runs"));
  std::filesystem::create_directory(dir / "mine");
  { const DirLock lock(dir / "mine"); }
  EXPECT_TRUE(std::filesystem::is_empty(dir / "mine"));
  {
    const DirLock lock(dir / "runs/out/");
    dir.write("runs/out/run.json", "{}");
  }
  EXPECT_EQ(dir.read("runs/out/run.json"), "{}");
}

// Many processes take and give back the lock of one folder that comes and goes with it; a counter
// in a file, which only the holder may raise, tells whether two ever held it together.
TEST(DirLock, IsHeldByOneAtATimeWhileItsFileComesAndGoes) {
  constexpr int kProcesses = 4;
  constexpr int kRounds = 200;
  const TempDir dir;
  dir.write("count", "0");
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    for (int round = 0; round < kRounds;) {
      try {
        const DirLock lock(dir / "runs/out");
        dir.write("count", std::to_string(std::stoi(dir.read("count")) + 1));
        ++round;
      } catch (const Error&) {
        continue;  // another one has it
      } catch (...) {
        ::_exit(1);
      }
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(dir.read("count"), std::to_string(kProcesses * kRounds));
}

TEST(DirLock, CanBeAskedAfterFromOutside) {
  const TempDir dir;
  EXPECT_FALSE(is_locked(dir / "absent"));
  EXPECT_FALSE(is_locked(dir.path()));
  {
    const DirLock lock(dir / "out");
    EXPECT_TRUE(is_locked(dir / "out"));
  }
  EXPECT_FALSE(is_locked(dir / "out"));
  dir.write("out/.rung.lock", "pid 1 on a machine that went down\n");
  EXPECT_FALSE(is_locked(dir / "out"));
  EXPECT_EQ(names_in(dir / "out"), std::set<std::string>{".rung.lock"});
}

TEST(DirLock, IsNotRefusedBecauseSomebodyAsks) {
  const TempDir dir;
  dir.write(".rung.lock", "");  // of a killed process: there all the time
  const pid_t asker = ::fork();
  while (asker == 0) {
    is_locked(dir.path());
    ::usleep(50);
  }
  for (int round = 0; round < 300; ++round) {
    EXPECT_NO_THROW(DirLock(dir.path()));
    dir.write(".rung.lock", "");
  }
  ::kill(asker, SIGKILL);
  ::waitpid(asker, nullptr, 0);
}

TEST(DirLock, EndsWithItsProcess) {
  const TempDir dir;
  run_and_die([&] {
    const DirLock lock(dir.path());
    ::_exit(0);
  });
  EXPECT_NO_THROW(DirLock(dir.path()));
}

}  // namespace
}  // namespace rung
