// The program starts itself again with a short spin of OpenMP's threads: nobody else may notice.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "tests/command/program.h"

namespace rung::command {
namespace {

using rung::testing::Program;
using rung::testing::ProgramFolder;

// Strings of a file of /proc, which end in NUL each.
std::vector<std::string> proc_strings(pid_t pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name, std::ios::binary);
  std::vector<std::string> strings;
  for (std::string text; std::getline(file, text, '\0');) strings.push_back(text);
  return strings;
}

std::optional<std::string> variable(pid_t pid, const std::string& name) {
  for (const std::string& entry : proc_strings(pid, "environ")) {
    if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
  }
  return std::nullopt;
}

// The environment of the test, with these two as given.
class OpenMpSpin : public ::testing::Test {
 protected:
  OpenMpSpin() {
    ::unsetenv("OMP_WAIT_POLICY");
    ::unsetenv("GOMP_SPINCOUNT");
    dir_.write_config("save_steps: 5\n");
  }

  const ProgramFolder dir_;
  const std::vector<std::string> command_ = {"train", "run.yaml", "--set", "max_steps=100000"};
};

TEST_F(OpenMpSpin, IsShortAndTheProcessTheSame) {
  Program program(dir_, command_);
  ASSERT_TRUE(program.wait_for("step 1/"));
  const std::optional<std::string> spin = variable(program.pid(), "GOMP_SPINCOUNT");
  ASSERT_TRUE(spin.has_value());
  EXPECT_LT(std::stoll(*spin), 300'000) << "libgomp's own default";
  std::vector<std::string> expected = command_;
  expected.insert(expected.begin(), "rung");
  EXPECT_EQ(proc_strings(program.pid(), "cmdline"), expected);
  EXPECT_EQ(proc_strings(program.pid(), "comm"), std::vector<std::string>{"rung\n"});
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait().code, 75);
}

TEST_F(OpenMpSpin, IsWhatTheEnvironmentSays) {
  const auto spin_of_a_run = [&] {
    Program program(dir_, command_);
    EXPECT_TRUE(program.wait_for("plan  "));
    return variable(program.pid(), "GOMP_SPINCOUNT");
  };
  ::setenv("OMP_WAIT_POLICY", "passive", 1);
  EXPECT_EQ(spin_of_a_run(), std::nullopt);
  ::unsetenv("OMP_WAIT_POLICY");
  ::setenv("GOMP_SPINCOUNT", "77", 1);
  EXPECT_EQ(spin_of_a_run(), "77");
}

// A dynamic linker that is called as a program must not be started again in place of rung.
TEST_F(OpenMpSpin, IsLeftAloneUnderAnExplicitLinker) {
  const std::string linker = "/lib64/ld-linux-x86-64.so.2";
  if (!std::ifstream(linker)) GTEST_SKIP() << "no " << linker;
  const std::string command = "cd " + dir_.path().string() + " && " + linker + " " + RUNG_BINARY +
                              " train run.yaml > .out 2> .err";
  EXPECT_EQ(std::system(command.c_str()), 0) << dir_.read(".err");
}

}  // namespace
}  // namespace rung::command
