// The program itself, run as a process: its exit code and what it printed where.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model_folder.h"

namespace rung::testing {

struct ProgramResult {
  int code = -1;  // the exit code, or 128 + signal as a shell has it
  std::string out;
  std::string err;

  std::vector<std::string> error_lines() const {
    std::vector<std::string> lines;
    for (size_t begin = 0; begin < err.size();) {
      const size_t end = std::min(err.find('\n', begin), err.size());
      lines.push_back(err.substr(begin, end - begin));
      begin = end + 1;
    }
    return lines;
  }
};

// `rung` with `arguments`, in the folder `dir`; its home is there too, so that no cache of the
// machine is seen.
class Program {
 public:
  Program(const TempDir& dir, std::vector<std::string> arguments) : dir_(dir) {
    arguments.insert(arguments.begin(), "rung");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    dir.write(".out", "");
    dir.write(".err", "");
    process_ = ::fork();
    if (process_ == 0) run(argv.data());
  }
  ~Program() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return process_; }
  void signal(int number) const { ::kill(process_, number); }

  // Waits until `words` are in the log; false where the program ends first, or a minute passed.
  bool wait_for(std::string_view words) {
    for (int i = 0; i < 6000; ++i) {
      if (dir_.read(".err").find(words) != std::string::npos) return true;
      siginfo_t info = {};
      ::waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT);
      if (info.si_pid != 0) return dir_.read(".err").find(words) != std::string::npos;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  ProgramResult wait() {
    int status = 0;
    ::waitpid(std::exchange(process_, -1), &status, 0);
    return {.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            .out = dir_.read(".out"),
            .err = dir_.read(".err")};
  }

 private:
  [[noreturn]] void run(char** argv) const {
    const auto redirect = [&](const char* name, int descriptor) {
      const int file = ::open((dir_ / name).c_str(), O_WRONLY | O_TRUNC);
      ::dup2(file, descriptor);
    };
    ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
    redirect(".out", STDOUT_FILENO);
    redirect(".err", STDERR_FILENO);
    if (::chdir(dir_.path().c_str()) != 0) ::_exit(126);
    ::setenv("HOME", dir_.path().c_str(), 1);
    for (const char* name : {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"})
      ::unsetenv(name);
    ::execv(RUNG_BINARY, argv);
    ::_exit(127);
  }

  const TempDir& dir_;
  pid_t process_;
};

inline ProgramResult run_program(const TempDir& dir, std::vector<std::string> arguments) {
  return Program(dir, std::move(arguments)).wait();
}

// The result of a run that must fail with `code`: nothing on standard output, one line on standard
// error, with `words` in it.
inline void expect_failure(const ProgramResult& result, int code, const std::string& words) {
  EXPECT_EQ(result.code, code) << result.err;
  EXPECT_EQ(result.out, "");
  const std::vector<std::string> lines = result.error_lines();
  ASSERT_FALSE(lines.empty());
  EXPECT_TRUE(lines.back().starts_with("error: ")) << result.err;
  EXPECT_NE(lines.back().find(words), std::string::npos)
      << "message: " << lines.back() << "\nlacks:   " << words;
  const auto is_error = [](const std::string& line) { return line.starts_with("error: "); };
  EXPECT_EQ(std::ranges::count_if(lines, is_error), 1) << result.err;
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos) << "an escape reached the terminal";
  EXPECT_EQ(result.err.find("frame #"), std::string::npos) << "a stack trace";
}

// Everything below `folder`, with '/' behind folders, but the output of programs.
inline std::set<std::string> tree(const std::filesystem::path& folder) {
  std::set<std::string> names;
  if (!std::filesystem::exists(folder)) return names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (name != ".out" && name != ".err") names.insert(name + (entry.is_directory() ? "/" : ""));
  }
  return names;
}

// A folder with the tiny model as `model`, chats as data and run.yaml for a few short steps.
struct ProgramFolder : TempDir {
  ProgramFolder() {
    write_tiny_model(*this);
    std::string chats;
    for (const char* answer : {"yes", "no", "maybe", "never", "always", "often"}) {
      chats += Json{{"messages",
                     {{{"role", "user"}, {"content", "Is it?"}},
                      {{"role", "assistant"}, {"content", answer}}}}}
                   .dump() +
               "\n";
    }
    write("train.jsonl", chats);
    write_config("");
  }

  // run.yaml with `more` lines behind (line 15 is the first of them).
  void write_config(const std::string& more) const {
    write("run.yaml",
          "base_model: model\n"
          "adapter: lora\n"
          "compute_dtype: fp32\n"
          "lora_r: 4\n"
          "datasets:\n"
          "  - path: train.jsonl\n"
          "    type: chat_template\n"
          "sequence_len: 96\n"
          "max_steps: 4\n"
          "learning_rate: 0.01\n"
          "num_threads: 1\n"
          "device: cpu\n"
          "memory_limit: 256MiB\n"
          "output_dir: out\n" +
              more);
  }
};

}  // namespace rung::testing
