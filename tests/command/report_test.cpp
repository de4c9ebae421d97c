// `rung report` as a process, and its page as a browser shows it.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tests/command/browser.h"
#include "tests/command/program.h"

namespace rung::command {
namespace {

namespace fs = std::filesystem;
using rung::testing::ColourScheme;
using rung::testing::expect_failure;
using rung::testing::LaidOutPage;
using rung::testing::open_in_browser;
using rung::testing::ProgramResult;
using rung::testing::run_program;
using rung::testing::TempDir;
using rung::testing::tree;

constexpr int kSteps = 300;
constexpr double kGiB = 0x1p30;

int64_t bytes(double gib) { return static_cast<int64_t>(gib * kGiB); }

Json start_row(int first_step, double planned) {
  return {{"kind", "start"},
          {"first_step", first_step},
          {"total_steps", kSteps},
          {"time", 1795655100.0 + first_step},
          {"host", "node-7"},
          {"device", "NVIDIA GeForce RTX 4090"},
          {"memory_limit", bytes(23.0)},
          {"memory_planned", bytes(planned)},
          {"memory_planned_by_phase", {{"load", bytes(6.1)}, {"train", bytes(planned)}}},
          {"memory_planned_by_component", {{"base_weights", bytes(5.6)}, {"head", bytes(1.9)}}},
          {"rung", "8 of 32 blocks recomputed"}};
}

Json out_of_memory_row(int step, bool is_again) {
  return {{"kind", "out_of_memory"},
          {"step", step},
          {"during", fmt::format("step {}", step + 1)},
          {"reason", "CUDA out of memory <script>window.onerror('injected')</script>"},
          {"from", "8 of 32 blocks recomputed"},
          {"to", is_again ? "8 of 32 blocks recomputed" : "16 of 32 blocks recomputed"},
          {"again", is_again}};
}

Json step_row(int step) {
  const double size = 0.4 + 0.6 * std::abs(std::sin(step * 1.7));  // of the batch
  const Json parts = {{"base_weights", bytes(5.6)},        {"adapters", bytes(0.16)},
                      {"optimizer", bytes(0.32)},          {"gradients", bytes(0.16)},
                      {"block_inputs", bytes(1.1 * size)}, {"activations", bytes(9.2 * size)},
                      {"workspace", bytes(1.2)},           {"head", bytes(1.9 * size)}};
  int64_t peak = 0;
  for (const auto& [name, part] : parts.items()) peak += part.get<int64_t>();
  const bool is_skipped = step == 120 || step == 122;
  Json row = {{"kind", "train"},
              {"step", step},
              {"loss", 1.0 + 2.0 * std::exp(-step / 60.0) + 0.1 * std::sin(step * 2.1)},
              {"grad_norm", 0.4 + std::exp(-step / 20.0) + 0.05 * std::sin(step * 3.3)},
              {"learning_rate", 2e-4 * (1.0 - static_cast<double>(step) / kSteps)},
              {"tokens", 4000},
              {"tokens_per_second", 2500.0 + 100.0 * std::sin(step)},
              {"tokens_total", 4000 * step},
              {"elapsed_seconds", 1.6 * step},
              {"time", 1795655100.0 + step},
              {"memory_peak", peak},
              {"memory_at_peak", parts},
              {"memory_other", bytes(0.6)},
              {"memory_neighbours", bytes(0.9)},
              {"largest_micro_batch",
               {{"tokens", 4000},
                {"documents", 2},
                {"examples", {{{"source", "mine.jsonl:12"}, {"tokens", 3000}}}}}}};
  if (is_skipped) {
    row["skipped"] = true;
    row["loss"] = row["grad_norm"] = nullptr;
  }
  return row;
}

// A folder "run" in which there is every kind of row: a run that was stopped, resumed, ran out of
// memory, and ended.
struct RunFolder : TempDir {
  RunFolder() {
    std::string rows = start_row(0, 21.4).dump() + "\n";
    for (int step = 1; step <= kSteps; ++step) {
      if (step == 140) {
        rows += out_of_memory_row(step - 1, true).dump() + "\n";
        rows += out_of_memory_row(step - 1, false).dump() + "\n";
      }
      if (step == 200) rows += start_row(step - 1, 18.9).dump() + "\n";
      rows += step_row(step).dump() + "\n";
      if (step % 50 == 0) {
        rows += Json{{"kind", "eval"},
                     {"step", step},
                     {"loss", 1.1 + 2.0 * std::exp(-step / 60.0)},
                     {"perplexity", 3.0},
                     {"memory_peak", bytes(13.5)}}
                    .dump() +
                "\n";
      }
    }
    write("run/metrics.jsonl", rows);
    write("run/run.json",
          Json{{"exit_code", 0}, {"exit_reason", "done"}, {"config", "lora_r: 16\n"}}.dump());
  }
};

TEST(ReportProgram, WritesThePageAndPrintsItsPath) {
  const RunFolder dir;
  const ProgramResult result = run_program(dir, {"report", "run"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "run/report.html\n");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(tree(dir / "run"), (std::set<std::string>{"metrics.jsonl", "report.html", "run.json"}));
  EXPECT_NE(dir.read("run/report.html").find("<h1>run "), std::string::npos);
}

TEST(ReportProgram, WritesWhereItIsTold) {
  const RunFolder dir;
  const ProgramResult result = run_program(dir, {"report", "run/", "--out", "pages/mine.html"});
  EXPECT_EQ(result.out, "pages/mine.html\n") << result.err;
  EXPECT_FALSE(fs::exists(dir / "run/report.html"));
  EXPECT_NE(dir.read("pages/mine.html").find("<h1>run "), std::string::npos);
}

// Publishing puts a file in the place of what has its name: that must be no device, and not a link.
TEST(ReportProgram, ReplacesNothingButFiles) {
  const RunFolder dir;
  fs::create_symlink("target.html", dir / "link.html");
  dir.write("target.html", "");
  EXPECT_EQ(run_program(dir, {"report", "run", "--out", "link.html"}).code, 0);
  EXPECT_TRUE(fs::is_symlink(dir / "link.html"));
  EXPECT_NE(dir.read("target.html").find("<h1>run "), std::string::npos);
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  expect_failure(run_program(dir, {"report", "run", "--out", "pipe"}), 3, "no regular file");
  EXPECT_TRUE(fs::is_fifo(dir / "pipe"));
}

TEST(ReportProgram, RefusesAFolderWithoutARun) {
  const TempDir dir;
  expect_failure(run_program(dir, {"report", "."}), 3, "there is no run in the folder");
  expect_failure(run_program(dir, {"report", "none"}), 3, "there is no run in the folder");
  expect_failure(run_program(dir, {"report"}), 2, "run_dir is missing");
}

TEST(ReportProgram, NamesADamagedLine) {
  const RunFolder dir;
  dir.write("run/metrics.jsonl", "{\"kind\":\"train\",\"step\":1}\nnonsense\n");
  expect_failure(run_program(dir, {"report", "run"}), 6, "metrics.jsonl:2");
}

// --- in a browser ---

// Tells the page around what a reader would see, as JSON: rectangles in pixels of plots, curves,
// marks and texts, and the contrast of texts. Rectangles are [left, top, right, bottom].
constexpr const char* kMeasure = R"js(<script>
const errors = [];
window.onerror = (message) => { errors.push(String(message).replace(/[<>&]/g, "_")); };
window.onload = () => {
  const rect = (e) => { const r = e.getBoundingClientRect();
                        return [r.left, r.top, r.right, r.bottom]; };
  const luminance = (colour) => {
    const part = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
    const [r, g, b] = colour.match(/[\d.]+/g).map(Number);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (e) => {
    const style = getComputedStyle(e);
    const text = luminance(e instanceof SVGElement ? style.fill : style.color);
    const page = luminance(behind(e));
    return (Math.max(text, page) + 0.05) / (Math.min(text, page) + 0.05);
  };
  const shown = (e) => rect(e)[2] > rect(e)[0];
  const plots = [...document.querySelectorAll("svg.plot")].map((svg) => ({
    name: svg.classList[1], rect: rect(svg), card: rect(svg.closest(".card")),
    curves: [...svg.querySelectorAll(".curves path")].map((e) => ({
      name: e.getAttribute("class"), rect: rect(e), points: e.getTotalLength() })),
    marks: [...svg.querySelectorAll("circle")].map((e) => ({ rect: rect(e),
      title: !!e.querySelector("title") })),
    texts: [...svg.querySelectorAll("text")].map((e) => ({
      kind: e.classList[0], text: e.textContent.slice(0, 20), rect: rect(e) })) }));
  const words = [...document.querySelectorAll("svg text, p, th, td, dt, dd, li, h1, h2, h3, .badge")]
    .filter(shown).map((e) => ({ text: e.textContent.slice(0, 30).replace(/[<>&]/g, "_"),
                                 contrast: contrast(e), rect: rect(e) }));
  const measured = { errors, plots, words, width: innerWidth,
    contentWidth: document.documentElement.scrollWidth,
    isDark: matchMedia("(prefers-color-scheme: dark)").matches };
  parent.postMessage(JSON.stringify(measured), "*");
};
</script>)js";

// The page around: a frame of the width that is asked for (a window cannot be as narrow as a
// phone), and what it tells.
constexpr const char* kFrame = R"html(<!DOCTYPE html>
<meta name="color-scheme" content="light dark">
<script>onmessage = (event) => {{ document.body.textContent = `MEASURED${{event.data}}MEASURED`; }};
</script><body><iframe src="copy.html" style="border: 0; width: {}px; height: 4000px"></iframe>)html";

struct Window {
  int width = 0;  // pixels
  ColourScheme scheme = ColourScheme::kLight;

  bool is_dark() const { return scheme == ColourScheme::kDark; }
};

struct Rect {
  double left, top, right, bottom;

  double width() const { return right - left; }
  double height() const { return bottom - top; }
  bool holds(const Rect& other, double tolerance) const {
    return other.left >= left - tolerance && other.right <= right + tolerance &&
           other.top >= top - tolerance && other.bottom <= bottom + tolerance;
  }
  bool meets(const Rect& other) const {
    return other.left < right && left < other.right && other.top < bottom && top < other.bottom;
  }
};

Rect rect_of(const Json& json) {
  const Json& r = json["rect"];
  return {r[0].get<double>(), r[1].get<double>(), r[2].get<double>(), r[3].get<double>()};
}

std::string as_text(const Json& json) { return json.dump(); }

class ReportInBrowser : public ::testing::TestWithParam<Window> {
 protected:
  // The page of a RunFolder as the browser lays it out in GetParam()'s window.
  Json measure() {
    EXPECT_EQ(run_program(dir_, {"report", "run"}).code, 0);
    std::string html = dir_.read("run/report.html");
    // The page lets no script run; the copy is open to ours.
    const std::string policy = "default-src 'none';";
    html.replace(html.find(policy), policy.size(), policy + " script-src 'unsafe-inline';");
    html.insert(html.find("</body>"), kMeasure);
    dir_.write("copy.html", html);
    dir_.write("frame.html", fmt::format(kFrame, GetParam().width));
    const LaidOutPage page = open_in_browser(dir_, "frame.html", GetParam().scheme);
    EXPECT_EQ(page.log.find("CONSOLE"), std::string::npos) << page.log;
    const std::string mark = "MEASURED";
    const size_t first = page.dom.find(mark + "{") + mark.size();
    const size_t end = page.dom.rfind(mark);
    if (first >= end || end == std::string::npos) {
      ADD_FAILURE() << page.dom.substr(0, 2000) << page.log;
      return {};
    }
    return parse_json(page.dom.substr(first, end - first), "the measured page");
  }

  RunFolder dir_;
};

void check_curves(const Json& plot) {
  const Rect area = rect_of(plot);
  for (const Json& curve : plot["curves"]) {
    const Rect rect = rect_of(curve);
    EXPECT_TRUE(area.holds(rect, 1.0)) << as_text(plot["name"]) << as_text(curve);
    // The one step between the two skipped ones.
    if (curve["name"].get<std::string>().starts_with("line dots")) continue;
    EXPECT_GT(rect.width(), area.width() * 0.8) << as_text(plot["name"]) << as_text(curve);
    // A limit is the same in every step.
    if (curve["name"] != "line limit") EXPECT_GT(rect.height(), 5.0) << as_text(curve);
  }
  for (const Json& mark : plot["marks"]) {
    EXPECT_TRUE(area.holds(rect_of(mark), 6.0)) << as_text(mark);
    EXPECT_EQ(mark["title"], true);
  }
}

void check_labels(const Json& plot) {
  const Rect area = rect_of(plot);
  const Json& card = plot["card"];
  const Rect room = {card[0].get<double>(), card[1].get<double>(), card[2].get<double>(),
                     card[3].get<double>()};
  const Json& texts = plot["texts"];
  for (size_t i = 0; i < texts.size(); ++i) {
    const Rect rect = rect_of(texts[i]);
    const std::string what = as_text(plot["name"]) + as_text(texts[i]);
    EXPECT_TRUE(room.holds(rect, 0.0)) << what;
    EXPECT_FALSE(area.meets(rect)) << what << " covers the plot";
    EXPECT_GT(rect.height(), 9.0) << what << " is too small to read";
    for (size_t j = 0; j < i; ++j)
      EXPECT_FALSE(rect.meets(rect_of(texts[j]))) << what << as_text(texts[j]);
  }
}

void check_all_are_there(const Json& plots) {
  std::set<std::string> curves;
  size_t num_marks = 0;
  for (const Json& plot : plots) {
    num_marks += plot["marks"].size();
    for (const Json& curve : plot["curves"])
      curves.insert(plot["name"].get<std::string>() + " " + curve["name"].get<std::string>());
  }
  EXPECT_EQ(plots.size(), 5u);
  EXPECT_EQ(num_marks, 12u);  // six evaluations, their memory and their loss
  for (int i = 1; i <= 8; ++i) EXPECT_TRUE(curves.contains(fmt::format("memory part c{}", i))) << i;
  for (const char* curve :
       {"memory line peak", "memory line planned", "memory line limit", "loss line raw",
        "loss line smooth", "loss line eval", "speed line raw", "speed line smooth",
        "learning-rate line smooth", "gradient-norm line raw", "gradient-norm line smooth"}) {
    EXPECT_TRUE(curves.contains(curve)) << curve;
  }
}

void check_words(const Json& page) {
  EXPECT_LE(page["contentWidth"], page["width"]) << "the page has to be scrolled sideways";
  EXPECT_GT(page["words"].size(), 80u);
  for (const Json& word : page["words"]) {
    EXPECT_GE(word["contrast"], 4.5) << as_text(word);  // WCAG 2.2, 1.4.3
    EXPECT_LE(rect_of(word).right, page["width"].get<double>()) << as_text(word);
  }
}

// One test, as most of its time is the browser's.
TEST_P(ReportInBrowser, ShowsCurvesInTheirPlotsAndTextThatCanBeRead) {
  const Json page = measure();
  ASSERT_TRUE(page.is_object());
  EXPECT_TRUE(page["errors"].empty()) << as_text(page["errors"]);
  EXPECT_EQ(page["width"], GetParam().width);
  EXPECT_EQ(page["isDark"], GetParam().is_dark());
  check_all_are_there(page["plots"]);
  for (const Json& plot : page["plots"]) {
    check_curves(plot);
    check_labels(plot);
  }
  check_words(page);
}

INSTANTIATE_TEST_SUITE_P(
    Windows, ReportInBrowser,
    ::testing::Values(Window{400, ColourScheme::kLight}, Window{400, ColourScheme::kDark},
                      Window{1200, ColourScheme::kLight}, Window{1200, ColourScheme::kDark}),
    [](const auto& info) {
      return fmt::format("{}{}", info.param.is_dark() ? "Dark" : "Light", info.param.width);
    });

TEST(ReportPage, AsItIsTheBrowserHasNothingToObjectTo) {
  const RunFolder dir;
  ASSERT_EQ(run_program(dir, {"report", "run"}).code, 0);
  const LaidOutPage page = open_in_browser(dir, "run/report.html");
  EXPECT_EQ(page.log.find("CONSOLE"), std::string::npos) << page.log;
  EXPECT_NE(page.dom.find("</html>"), std::string::npos);
}

}  // namespace
}  // namespace rung::command
