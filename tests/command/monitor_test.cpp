// `rung monitor` on folders as runs leave them, and with the NVML of tests/fake_nvml.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <stdlib.h>
#include <termios.h>
#include <utmp.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/publish.h"
#include "base/stopwatch.h"
#include "tests/command/program.h"

namespace rung::command {
namespace {

using rung::testing::expect_failure;
using rung::testing::Program;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::TempDir;
using rung::testing::tree;

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

std::string this_host() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

// Which libnvidia-ml.so.1 the program finds.
class NvmlIn {
 public:
  explicit NvmlIn(const std::string& folder) {
    if (const char* path = std::getenv("LD_LIBRARY_PATH")) before_ = path;
    ::setenv("LD_LIBRARY_PATH", folder.c_str(), 1);
  }
  ~NvmlIn() {
    if (before_) {
      ::setenv("LD_LIBRARY_PATH", before_->c_str(), 1);
    } else {
      ::unsetenv("LD_LIBRARY_PATH");
    }
  }
  NvmlIn(const NvmlIn&) = delete;
  NvmlIn& operator=(const NvmlIn&) = delete;

 private:
  std::optional<std::string> before_;
};

// A folder with the record of a run in `out`, a row at a time.
struct RunFolder : TempDir {
  RunFolder() {
    // Also where the machine has a driver: the loader stops at this file.
    write("no_nvml/libnvidia-ml.so.1", "none");
    nvml = std::make_unique<NvmlIn>((*this / "no_nvml").string());
  }

  void use_nvml(const std::string& name) {
    nvml.reset();
    nvml = std::make_unique<NvmlIn>(std::string(RUNG_NVML_DIR) + "/" + name);
  }
  void start(Json more = Json::object()) {
    Json row = {{"kind", "start"},
                {"first_step", 0},
                {"total_steps", 40},
                {"time", 1.7e9},
                {"pid", 4711},
                {"host", this_host()},
                {"device", "CPU"},
                {"pci_bus_id", ""},
                {"memory_limit", 8 * kGiB},
                {"memory_planned", 3 * kGiB},
                {"rung", "micro-batches whole"}};
    row.update(more);
    add(row);
  }
  void steps(int64_t count, int64_t leak = 0) {
    for (int64_t i = 0; i < count; ++i) {
      ++num_steps;
      const int64_t tokens = 500 + num_steps * 37 % 90;
      const int64_t live = kGiB + leak * num_steps;
      add({{"kind", "train"},
           {"step", num_steps},
           {"epoch", 0.1},
           {"loss", 1.25},
           {"tokens", tokens},
           {"seconds", 2.0},
           {"tokens_per_second", 1234.0},
           {"time", 1.7e9 + 2.0 * static_cast<double>(num_steps)},
           {"memory_peak", live + tokens * kMiB},
           {"memory_live", live},
           {"memory_live_by_component", {{"base_weights", kGiB}, {"activations", live - kGiB}}},
           {"memory_reserved", 2 * kGiB},
           {"memory_other", 300 * kMiB},
           {"largest_micro_batch", {{"tokens", tokens}, {"documents", 2}}}});
    }
  }
  void end(int code, const std::string& reason) const {
    write("out/run.json", Json{{"exit_code", code}, {"exit_reason", reason}}.dump());
  }
  void add(const Json& row) { add_text(row.dump() + "\n"); }
  void add_text(const std::string& text) {
    metrics += text;
    write("out/metrics.jsonl", metrics);
  }

  std::unique_ptr<NvmlIn> nvml;
  std::string metrics;
  int64_t num_steps = 0;
};

// Held as by the process that wrote `dir`'s rows.
class RunLock {
 public:
  explicit RunLock(const RunFolder& dir, int64_t pid = 4711) : lock_(dir / "out") {
    dir.write("out/.rung.lock", "pid " + std::to_string(pid) + " on " + this_host() + "\n");
  }

 private:
  DirLock lock_;
};

void expect_words(const std::string& text, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(text.find(word), std::string::npos) << "lacks: " << word << "\nin: " << text;
  }
}

ProgramResult monitor_once(const RunFolder& dir) {
  return run_program(dir, {"monitor", "out", "--once"});
}

Json monitor_json(const RunFolder& dir) {
  const ProgramResult result = run_program(dir, {"monitor", "out", "--once", "--json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return parse_json(result.out, "monitor");
}

// Waits until `words` are on standard output; false after half a minute.
bool wait_for_output(const TempDir& dir, const std::string& words) {
  for (int i = 0; i < 3000; ++i) {
    if (dir.read(".out").find(words) != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(Monitor, SummarisesAFinishedRun) {
  RunFolder dir;
  dir.start();
  dir.steps(40);
  dir.end(0, "done");
  const std::set<std::string> before = tree(dir.path());
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"monitor", "out"}, {"monitor", "out", "--once"}}) {
    const ProgramResult result = run_program(dir, command);
    EXPECT_EQ(result.code, 0) << result.err;
    expect_words(result.out,
                 {"ended with exit code 0: done", "step 40 of 40 (100 %)", "1,234 tok/s", "1.2500",
                  "# live 1.0 GiB", "planned 3.0 GiB", "limit 8.0 GiB", "micro-batches whole",
                  "verdict   healthy: 40 steps without a finding"});
    EXPECT_EQ(result.out.find("ETA"), std::string::npos);
    EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  }
  EXPECT_EQ(tree(dir.path()), before) << "the monitor leaves nothing behind";
}

TEST(Monitor, FindsNothingInARealRun) {
  const rung::testing::ProgramFolder dir;
  ASSERT_EQ(run_program(dir, {"train", "run.yaml", "--set", "max_steps=30"}).code, 0);
  const ProgramResult result = run_program(dir, {"monitor", "out", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json json = parse_json(result.out, "monitor");
  EXPECT_EQ(json["exit_code"], 0);
  EXPECT_EQ(json["progress"]["step"], 30);
  EXPECT_EQ(json["findings"], Json::array());
  EXPECT_TRUE(json["memory"]["neighbours"].is_null()) << "there is no GPU to share";
}

TEST(Monitor, TellsARunningProcessByItsLock) {
  RunFolder dir;
  const RunLock lock(dir);
  dir.start();
  dir.steps(20);
  dir.end(75, "of the process before");
  const ProgramResult result = monitor_once(dir);
  EXPECT_EQ(result.code, 0) << result.err;
  expect_words(result.out, {"running, pid 4711 on " + this_host() + ", CPU", "step 20 of 40 (50 %)",
                            "ETA 40.0 s"});
}

TEST(Monitor, WaitsForARunThatBegins) {
  RunFolder dir;
  const RunLock lock(dir);
  expect_words(monitor_once(dir).out, {"starting", "unknown: the record has no step yet"});
}

TEST(Monitor, SaysThatARunWasKilled) {
  RunFolder dir;
  dir.start();
  dir.steps(20);
  dir.write("out/.rung.lock", "pid 4711 on a machine that went down\n");
  expect_words(monitor_once(dir).out, {"killed: no process holds the folder"});
  const Json json = monitor_json(dir);
  EXPECT_EQ(json["state"], "killed");
  EXPECT_TRUE(json["exit_code"].is_null());
}

TEST(Monitor, KnowsThatLocksMayNotReachOtherMachines) {
  RunFolder dir;
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  dir.start({{"host", "elsewhere"}, {"time", now - 200.0}});
  expect_words(monitor_once(dir).out,
               {"unseen, pid 4711 on elsewhere", "no lock", "last row came 3 min 2"});
  EXPECT_EQ(monitor_json(dir)["state"], "unseen");
}

TEST(Monitor, RefusesAFolderWithoutARun) {
  RunFolder dir;
  std::filesystem::create_directory(dir / "out");
  expect_failure(monitor_once(dir), 3, "there is no run in the folder");
  EXPECT_TRUE(std::filesystem::is_empty(dir / "out"));
  std::filesystem::remove(dir / "out");
  expect_failure(monitor_once(dir), 3, "there is no run in the folder");
  EXPECT_FALSE(std::filesystem::exists(dir / "out"));
}

TEST(Monitor, NamesADamagedLine) {
  RunFolder dir;
  dir.start();
  dir.add_text("{\"kind\": \"train\", \n");
  dir.steps(3);
  expect_failure(monitor_once(dir), 6, "out/metrics.jsonl:2");
}

TEST(Monitor, ShowsTheSettingsOfStepsThatAreInForce) {
  RunFolder dir;
  dir.start();
  dir.add({{"kind", "out_of_memory"},
           {"step", 0},
           {"during", "the largest micro-batch (1 document)"},
           {"to", "2 parts"},
           {"settings", "train"}});
  EXPECT_EQ(monitor_json(dir)["rung"], "2 parts");
  dir.add({{"kind", "out_of_memory"}, {"step", 0}, {"to", "smaller"}, {"settings", "eval"}});
  EXPECT_EQ(monitor_json(dir)["rung"], "2 parts");
}

TEST(Monitor, PassesOverALineThatIsBeingWritten) {
  RunFolder dir;
  dir.start();
  dir.steps(3);
  dir.add_text("{\"kind\": \"train\", \"st");
  expect_words(monitor_once(dir).out, {"step 3 of 40"});
}

TEST(Monitor, GivesJson) {
  RunFolder dir;
  dir.start();
  dir.steps(40, 20 * kMiB);
  dir.end(0, "done");
  const Json json = monitor_json(dir);
  EXPECT_EQ(json["verdict"], "creep");
  expect_words(json["evidence"].get<std::string>(), {"20.0 MiB a step", "\"activations\""});
  EXPECT_EQ(json["memory"]["live"], kGiB + 800 * kMiB);
  EXPECT_EQ(json["memory"]["limit"], 8 * kGiB);
  EXPECT_EQ(json["memory"]["planned_peak"], 3 * kGiB);
  EXPECT_GT(json["memory"]["measured_peak"], json["memory"]["live"]);
  for (const char* unknown : {"total", "free", "neighbours"}) {
    EXPECT_TRUE(json["memory"].at(unknown).is_null()) << unknown;
  }
  for (const char* unknown : {"utilisation", "temperature"}) {
    EXPECT_TRUE(json.at(unknown).is_null()) << unknown;
  }
  EXPECT_EQ(json["findings"][0]["kind"], "creep");
  EXPECT_EQ(json["findings"][0]["figures"]["component"], "activations");
  EXPECT_EQ(json["state"], "ended");
  EXPECT_EQ(json["exit_code"], 0);
  EXPECT_EQ(json["progress"]["step"], 40);
  EXPECT_EQ(json["progress"]["loss"], 1.25);
}

TEST(Monitor, SaysWhyARunDidNotBegin) {
  RunFolder dir;
  dir.end(4, "a training step does not fit: got 9.0 GiB");
  expect_words(monitor_once(dir).out,
               {"ended with exit code 4", "verdict   out_of_memory: the run does not fit"});
}

TEST(Monitor, EscapesWhatFilesSay) {
  RunFolder dir;
  dir.start({{"device", "\x1b[31mred\nrun       ended"}, {"rung", "\x1b]0;title\x07"}});
  dir.steps(3);
  dir.end(6, "\x1b[2J disk\r full");
  for (const char* form : {"--once", "--json"}) {
    const ProgramResult result = run_program(dir, {"monitor", "out", form});
    EXPECT_EQ(result.code, 0) << result.err;
    for (const char byte : {'\x1b', '\x07', '\r'}) {
      EXPECT_EQ(result.out.find(byte), std::string::npos) << form;
    }
  }
}

// The GPU

constexpr const char* kBusId = "0000:3B:00.0";

TEST(MonitorGpu, IsAskedWhileTheRunIsOnIt) {
  RunFolder dir;
  dir.use_nvml("fake_nvml");
  const RunLock lock(dir);
  dir.start({{"device", "Fake RTX 4090 (sm_89)"}, {"pci_bus_id", kBusId}});
  dir.steps(10);
  expect_words(monitor_once(dir).out,
               {"o others 2.0 GiB", ". free 14.0 GiB", "of 24.0 GiB", "97 % busy", "71 C",
                "310 of 450 W", "2,520 MHz", "memory 10,501 MHz"});
  const Json json = monitor_json(dir);
  EXPECT_EQ(json["utilisation"], 97);
  EXPECT_EQ(json["memory_utilisation"], 41);
  EXPECT_EQ(json["temperature"], 71);
  EXPECT_EQ(json["power"]["draw"], 310.5);
  EXPECT_EQ(json["power"]["limit"], 450.0);
  EXPECT_EQ(json["clocks"]["sm"], 2520);
  EXPECT_EQ(json["memory"]["total"], 24 * kGiB);
  EXPECT_EQ(json["memory"]["neighbours"], 2 * kGiB);  // 9 used, 7 of them by pid 4711
}

TEST(MonitorGpu, OwnShareIsTheRecordsWhereThePidIsAnother) {
  RunFolder dir;
  dir.use_nvml("fake_nvml");
  const RunLock lock(dir, 7);
  dir.start({{"pci_bus_id", kBusId}, {"pid", 7}});  // as in a container
  dir.steps(10);
  EXPECT_EQ(monitor_json(dir)["memory"]["neighbours"], 7 * kGiB - 300 * kMiB);
}

TEST(MonitorGpu, IsLeftOutWhereItsFiguresAreNotTheRuns) {
  RunFolder dir;
  dir.use_nvml("fake_nvml");
  dir.start({{"pci_bus_id", kBusId}, {"host", "elsewhere"}});
  dir.steps(10);
  EXPECT_TRUE(monitor_json(dir)["utilisation"].is_null());  // it does not run
  const RunLock lock(dir);
  dir.write("out/.rung.lock", "pid 4711 on elsewhere\n");
  EXPECT_TRUE(monitor_json(dir)["utilisation"].is_null());  // nor here
  expect_words(monitor_once(dir).out, {"it is in another machine, elsewhere"});
}

TEST(MonitorGpu, IsNotShownAsAWholeWhereItIsDivided) {
  RunFolder dir;
  dir.use_nvml("fake_nvml");
  const RunLock lock(dir);
  dir.start({{"pci_bus_id", kBusId}});
  dir.steps(10);
  ::setenv("FAKE_NVML_MIG", "1", 1);
  const ProgramResult result = monitor_once(dir);
  ::unsetenv("FAKE_NVML_MIG");
  expect_words(result.out, {"it is divided (MIG)"});
  EXPECT_EQ(result.out.find("of 24.0 GiB"), std::string::npos) << result.out;
}

TEST(MonitorGpu, SaysWhyThereAreNoFigures) {
  RunFolder dir;
  const RunLock lock(dir);
  dir.start({{"pci_bus_id", kBusId}});
  dir.steps(10);
  expect_words(monitor_once(dir).out, {"there is no NVML"});
  dir.use_nvml("bare_nvml");
  expect_words(monitor_once(dir).out, {"NVML knows no GPU at 0000:3B:00.0"});
}

TEST(MonitorGpus, AreListedWithoutARun) {
  RunFolder dir;
  dir.use_nvml("fake_nvml");
  const ProgramResult result = run_program(dir, {"monitor", "--once"});
  EXPECT_EQ(result.code, 0) << result.err;
  expect_words(result.out, {"gpu 0     Fake RTX 4090, 00000000:3B:00.0", "gpu 1     Fake vGPU",
                            "o used 9.0 GiB, . free 14.0 GiB, of 24.0 GiB", "97 % busy",
                            "pid 999 with 1.0 GiB, pid 4711 with 7.0 GiB"});
}

TEST(MonitorGpus, AreJsonToo) {
  RunFolder dir;
  dir.use_nvml("fake_nvml");
  const Json two = parse_json(run_program(dir, {"monitor", "--once", "--json"}).out, "monitor");
  EXPECT_TRUE(two["verdict"].is_null());
  EXPECT_TRUE(two["utilisation"].is_null()) << "of which of the two?";
  ASSERT_EQ(two["gpus"].size(), 2u);
  EXPECT_EQ(two["gpus"][0]["temperature"], 71);
  EXPECT_EQ(two["gpus"][0]["processes"][1]["memory"], 7 * kGiB);
  EXPECT_TRUE(two["gpus"][1]["processes"].is_null());
  dir.use_nvml("bare_nvml");
  const Json one = parse_json(run_program(dir, {"monitor", "--once", "--json"}).out, "monitor");
  EXPECT_EQ(one["memory"]["used"], 600);
  EXPECT_TRUE(one["temperature"].is_null());
  for (const char* key : {"verdict", "evidence", "memory", "utilisation", "temperature"}) {
    EXPECT_TRUE(one.contains(key)) << key;
  }
}

TEST(MonitorGpus, AreRefusedWithoutNvml) {
  const RunFolder dir;
  expect_failure(run_program(dir, {"monitor", "--once"}), 3,
                 "there is no NVML (libnvidia-ml.so.1 comes with the NVIDIA driver); name the "
                 "folder of a run");
}

// Live

TEST(MonitorLive, FollowsTheRecordAndEndsWithTheRun) {
  RunFolder dir;
  auto lock = std::make_unique<RunLock>(dir);
  dir.start();
  dir.steps(1);
  Program program(dir, {"monitor", "out", "--json", "--interval", "0.1"});
  ASSERT_TRUE(wait_for_output(dir, "\"step\":1,"));
  dir.steps(4);
  ASSERT_TRUE(wait_for_output(dir, "\"step\":5,"));
  dir.end(0, "done");
  lock.reset();
  const ProgramResult result = program.wait();
  EXPECT_EQ(result.code, 0) << result.err;
  const size_t last_line = result.out.rfind('\n', result.out.size() - 2) + 1;
  const Json last = parse_json(result.out.substr(last_line), "monitor");
  EXPECT_EQ(last["state"], "ended");
  EXPECT_EQ(last["exit_reason"], "done");
}

TEST(MonitorLive, SeesTheRunThatIsKilled) {
  RunFolder dir;
  auto lock = std::make_unique<RunLock>(dir);
  dir.start();
  dir.steps(1);
  Program program(dir, {"monitor", "out"});
  ASSERT_TRUE(wait_for_output(dir, "running"));
  lock.reset();
  const ProgramResult result = program.wait();
  EXPECT_EQ(result.code, 0) << result.err;
  expect_words(result.out, {"\n\nrun       killed: "});
}

TEST(MonitorLive, EndsOnASignal) {
  RunFolder dir;
  const RunLock lock(dir);
  dir.start();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    Program program(dir, {"monitor", "out"});
    ASSERT_TRUE(wait_for_output(dir, "running"));
    program.signal(signal);
    EXPECT_EQ(program.wait().code, 0) << signal;
  }
}

TEST(MonitorLive, OutlivesASignalThatIsIgnored) {
  RunFolder dir;
  const RunLock lock(dir);
  dir.start();
  const auto before = ::signal(SIGHUP, SIG_IGN);  // as nohup does
  Program program(dir, {"monitor", "out", "--interval", "0.1"});
  ::signal(SIGHUP, before);
  ASSERT_TRUE(wait_for_output(dir, "running"));
  program.signal(SIGHUP);
  dir.steps(3);
  ASSERT_TRUE(wait_for_output(dir, "step 3"));
  program.signal(SIGTERM);
  EXPECT_EQ(program.wait().code, 0);
}

TEST(MonitorLive, TakesAnIntervalWithinReason) {
  const RunFolder dir;
  for (const char* interval : {"0", "-1", "4000"}) {
    expect_failure(run_program(dir, {"monitor", "out", std::string("--interval=") + interval}), 2,
                   "--interval is out of range");
  }
  expect_failure(run_program(dir, {"monitor", "out", "more"}), 2, "an argument too many");
}

// The program on a terminal of its own; `more` arguments behind those of a live view. Its standard
// output is the terminal, or the file .out of `dir`.
class OnTerminal {
 public:
  enum class Output { kTerminal, kFile };
  struct Options {
    unsigned short columns = 80;
    unsigned short rows = 24;
    Output output = Output::kTerminal;
    const char* more = nullptr;
  };

  OnTerminal(const TempDir& dir, const Options& options) {
    winsize size = {
        .ws_row = options.rows, .ws_col = options.columns, .ws_xpixel = 0, .ws_ypixel = 0};
    if (::openpty(&terminal_, &program_end_, nullptr, nullptr, &size) != 0) return;
    process_ = ::fork();
    if (process_ != 0) return;
    ::login_tty(::dup(program_end_));
    if (options.output == Output::kFile) {
      ::dup2(::open((dir / ".out").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
    }
    ::setenv("TERM", "xterm", 1);
    if (::chdir(dir.path().c_str()) != 0) ::_exit(126);
    ::execl(RUNG_BINARY, "rung", "monitor", "out", "--interval", "0.1", options.more, nullptr);
    ::_exit(127);
  }
  ~OnTerminal() {
    if (process_ > 0) ::kill(process_, SIGKILL);
    if (process_ > 0) ::waitpid(process_, nullptr, 0);
    ::close(program_end_);
    ::close(terminal_);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  // Reads until `words` came, for half a minute; what was read so far is in seen().
  bool wait_for(const std::string& words) {
    const Stopwatch stopwatch;
    while (seen_.find(words) == std::string::npos) {
      if (stopwatch.seconds() > kMostSeconds) return false;
      read_on();
    }
    return true;
  }
  void type(const std::string& keys) const {
    ASSERT_EQ(::write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  // The exit code, 128 + signal, or -1 where it does not end within half a minute.
  int wait() {
    const Stopwatch stopwatch;
    int status = 0;
    while (::waitpid(process_, &status, WNOHANG) == 0) {
      if (stopwatch.seconds() > kMostSeconds) return -1;
      read_on();
    }
    process_ = -1;
    while (read_on()) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  // Whether the terminal still gathers lines and shows what is typed, as a shell needs it.
  bool is_untouched() const {
    termios terminal = {};
    if (::tcgetattr(program_end_, &terminal) != 0) return false;
    return (terminal.c_lflag & ICANON) != 0 && (terminal.c_lflag & ECHO) != 0;
  }
  const std::string& seen() const { return seen_; }

 private:
  static constexpr double kMostSeconds = 30;

  bool read_on() {
    pollfd event = {.fd = terminal_, .events = POLLIN, .revents = 0};
    if (::poll(&event, 1, 20) <= 0) return false;
    char buffer[4096];
    const ssize_t count = ::read(terminal_, buffer, sizeof(buffer));
    if (count <= 0) return false;
    seen_.append(buffer, static_cast<size_t>(count));
    return true;
  }

  int terminal_ = -1;
  int program_end_ = -1;  // kept open, so that its state can be asked for when the program is gone
  pid_t process_ = -1;
  std::string seen_;
};

TEST(MonitorScreen, IsDrawnAgainInPlaceUntilAKeyEndsIt) {
  RunFolder dir;
  const RunLock lock(dir);
  dir.start();
  dir.steps(3);
  for (const char* key : {"q", "\x03", "\x1c"}) {  // Ctrl-C, Ctrl-backslash
    OnTerminal terminal(dir, {});
    ASSERT_TRUE(terminal.wait_for("verdict"));
    ASSERT_TRUE(terminal.wait_for("\r\x1b[")) << terminal.seen();  // back to the first line
    EXPECT_FALSE(terminal.is_untouched()) << "keys are read as they are typed";
    terminal.type(key);
    EXPECT_EQ(terminal.wait(), 0) << terminal.seen();
    EXPECT_TRUE(terminal.is_untouched());
  }
}

TEST(MonitorScreen, LeavesTheTerminalAloneWhereItShowsNothingOnIt) {
  RunFolder dir;
  const RunLock lock(dir);
  dir.start();
  dir.steps(3);
  dir.write(".out", "");
  OnTerminal into_file(dir, {.output = OnTerminal::Output::kFile});
  ASSERT_TRUE(wait_for_output(dir, "verdict"));
  EXPECT_TRUE(into_file.is_untouched());
  into_file.type("q\n");
  OnTerminal json(dir, {.more = "--json"});
  ASSERT_TRUE(json.wait_for("}"));
  EXPECT_TRUE(json.is_untouched());
  into_file.type("\x03");
  EXPECT_EQ(into_file.wait(), 0);
}

TEST(MonitorScreen, HasTheVerdictOnASmallTerminal) {
  RunFolder dir;
  dir.start({{"device", std::string(1500, 'x')}});
  dir.steps(20, 20 * kMiB);
  dir.end(4, "out of memory in " + std::string(300, 'y') + " and more words");
  for (const unsigned short columns : {20, 80}) {
    OnTerminal terminal(dir, {.columns = columns, .rows = 9});
    EXPECT_EQ(terminal.wait(), 0);
    EXPECT_NE(terminal.seen().find("verdict"), std::string::npos) << terminal.seen();
    EXPECT_NE(terminal.seen().find("out_of_memory"), std::string::npos) << terminal.seen();
  }
}

TEST(Monitor, GivesJsonInAscii) {
  RunFolder dir;
  dir.start({{"device", "\u202eon\u00e9\u2028"}});
  dir.steps(3);
  const std::string out = run_program(dir, {"monitor", "out", "--once", "--json"}).out;
  EXPECT_EQ(parse_json(out, "monitor")["device"], "\u202eon\u00e9\u2028");
  EXPECT_TRUE(std::ranges::all_of(out, [](char byte) { return byte > 0; }));
}

TEST(MonitorScreen, HasNoLineThatWraps) {
  RunFolder dir;
  dir.start({{"device", std::string(200, 'x')}});
  dir.steps(20, 20 * kMiB);
  dir.end(4, "out of memory in " + std::string(300, 'y') + " and more words");
  OnTerminal terminal(dir, {.columns = 40});
  EXPECT_EQ(terminal.wait(), 0);
  size_t longest = 0;
  for (size_t begin = 0; begin < terminal.seen().size();) {
    const size_t end = std::min(terminal.seen().find("\x1b[K", begin), terminal.seen().size());
    longest = std::max(longest, end - begin);
    begin = std::min(terminal.seen().find('\n', end), terminal.seen().size() - 1) + 1;
  }
  EXPECT_LT(longest, 40u) << terminal.seen();
  EXPECT_GT(longest, 30u);
}

}  // namespace
}  // namespace rung::command
