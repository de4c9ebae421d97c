// The report: that it says what a run's record has, escaped, at a bounded size, whatever is
// missing.
#include "monitor/report_page.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "monitor/html.h"
#include "monitor/report_figures.h"
#include "monitor/verdict.h"

namespace rung::monitor {
namespace {

constexpr Bytes kGiB = Bytes{1} << 30;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Step make_step(int64_t number) {
  const Bytes activations = kGiB + number % 7 * (kGiB / 8);
  Step step;
  step.step = number;
  step.loss = 2.0 + 1.0 / static_cast<double>(number);
  step.grad_norm = 0.5;
  step.learning_rate = 1e-4;
  step.tokens_per_second = 1000.0 + static_cast<double>(number % 13);
  step.tokens_total = number * 100;
  step.elapsed_seconds = static_cast<double>(number);
  step.memory_peak = 2 * kGiB + activations;
  step.memory_at_peak = {{"base_weights", 2 * kGiB}, {"activations", activations}};
  return step;
}

RunHistory make_history(int64_t num_steps) {
  RunHistory history;
  history.starts.push_back({.total_steps = num_steps,
                            .device = "CPU",
                            .memory_limit = 8 * kGiB,
                            .memory_planned = 4 * kGiB,
                            .memory_planned_by_phase = {{"load", 2 * kGiB}, {"train", 4 * kGiB}},
                            .memory_planned_by_component = {{"base_weights", 2 * kGiB}},
                            .rung = "0 of 32 blocks recomputed"});
  for (int64_t i = 1; i <= num_steps; ++i) history.steps.push_back(make_step(i));
  return history;
}

TEST(EscapeHtml, LeavesNoMarkup) {
  EXPECT_EQ(escape_html("<a href=\"x\">'&'</a>"),
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
  EXPECT_EQ(escape_html("two\nlines \x1b \xff"), "two\nlines \\x1b \\xff");
}

TEST(ReportPage, EscapesEverythingFromFiles) {
  const std::string bad = "\"'><script>alert(1)</script>";
  RunHistory history = make_history(3);
  Start& start = history.starts.front();
  start.device = start.host = start.rung = bad;
  start.memory_planned_by_phase[bad] = 1;
  history.starts.push_back(start);
  history.steps.back().memory_at_peak[bad] = kGiB;
  history.steps.back().memory_peak += kGiB;
  history.steps.back().largest_micro_batch = {.tokens = 5, .documents = 1, .examples = {{bad, 5}}};
  history.out_of_memory.push_back({2, bad, bad, bad, bad, false});
  history.outcome =
      Outcome{.exit_code = 6, .exit_reason = bad, .versions = {{bad, bad}}, .config = bad};
  history.outcome->memory_by_phase[bad] = 7;
  const std::string html = report_html(history, bad);
  EXPECT_FALSE(contains(html, "<script"));
  EXPECT_FALSE(contains(html, "\"'>"));
  EXPECT_TRUE(contains(html, "&lt;script&gt;"));
}

TEST(ReportPage, FetchesNothing) {
  const std::string html = report_html(make_history(20), "run");
  for (const char* word : {"http:", "https:", "url(", "@import", "src=", "<link", "<script"})
    EXPECT_FALSE(contains(html, word)) << word;
  EXPECT_TRUE(contains(html, "default-src 'none'"));
}

TEST(ReportPage, OfALongRunIsBelowAMegabyte) {
  RunHistory history = make_history(100'000);
  for (int64_t i = 10; i < 100'000; i += 10)
    history.evaluations.push_back({.step = i, .loss = 2.0 + static_cast<double>(i % 7)});
  for (int64_t i = 0; i < 3000; ++i)
    history.out_of_memory.push_back(
        {i * 30, "a step", "full", "as it was", "on a rung", i % 2 == 0});
  EXPECT_LT(report_html(history, "run").size(), 1'000'000u);
}

TEST(ReportPage, ManyComponentsAreSummed) {
  RunHistory history = make_history(50);
  for (Step& step : history.steps) {
    for (int i = 0; i < 500; ++i) step.memory_at_peak["part" + std::to_string(i)] = 1000 + i;
  }
  const RunFigures figures = figures_of(history);
  EXPECT_EQ(figures.components.size(), 12u);
  EXPECT_EQ(figures.components.back().name, "other");
  double sum = 0.0;
  for (const double part : parts_of(history.steps[0].memory_at_peak, figures)) sum += part;
  Bytes expected = 0;
  const ByComponent& parts = history.steps[0].memory_at_peak;
  for (size_t i = 0; i < parts.size(); ++i) expected += parts.bytes(i);
  EXPECT_EQ(sum, static_cast<double>(expected));
}

TEST(ReportPage, ComparesPlannedAndMeasured) {
  RunHistory history = make_history(10);
  history.outcome = Outcome{.memory_by_phase = {{"load", kGiB}}};
  const std::string html = report_html(history, "run");
  EXPECT_TRUE(contains(html, "93.8 % of the 4.0 GiB planned"));  // 3.75 GiB in step 6
  EXPECT_TRUE(contains(html, "<td class=\"number\">50.0 %</td>"));
  EXPECT_TRUE(contains(html, "Highest peak of a step: <strong>3.8 GiB</strong> in step 6"));
}

TEST(ReportPage, OpensWithTheVerdictOfTheMonitor) {
  RunHistory history = make_history(60);
  const std::string healthy = report_html(history, "run");
  EXPECT_TRUE(contains(healthy, "<span class=\"badge none\">healthy</span> 60 steps"));
  history.out_of_memory.push_back({30, "step 31", "full", "a", "b"});
  const Verdict verdict = verdict_of(history);
  const std::string html = report_html(history, "run");
  for (const Finding& finding : verdict.findings) {
    EXPECT_TRUE(contains(
        html, std::string(name_of(finding.kind)) + "</span> " + escape_html(finding.evidence)));
    EXPECT_TRUE(contains(html, "What to do: " + escape_html(finding.advice)));
  }
  EXPECT_LT(html.find("badge suffered"), html.find("class=\"tiles\"")) << "at the top";
}

TEST(ReportPage, HasNoVerdictWithoutAStep) {
  EXPECT_FALSE(contains(report_html({}, "run"), "class=\"card verdict\""));
}

TEST(ReportPage, TheLegendOfMemoryNamesTheParts) {
  const RunHistory history = make_history(10);
  const std::string html = report_html(history, "run");
  for (const ComponentMemory& part : figures_of(history).components) {
    EXPECT_TRUE(contains(
        html, "<li><span class=\"key area " + part.css_class + "\"></span>" + part.name + "</li>"));
  }
}

// Another process may have planned less than what the first one took.
TEST(ReportPage, ComparesWithTheLargestPlan) {
  RunHistory history = make_history(10);
  history.starts.push_back({.first_step = 8,
                            .memory_limit = 8 * kGiB,
                            .memory_planned = 3 * kGiB,
                            .memory_planned_by_phase = {{"train", 3 * kGiB}}});
  const RunFigures figures = figures_of(history);
  EXPECT_EQ(figures.memory_planned, 4 * kGiB);
  EXPECT_EQ(figures.phases.at(1).planned, 4 * kGiB);
  EXPECT_TRUE(contains(report_html(history, "run"), "planned peak 4.0 GiB, in the end 3.0 GiB"));
}

TEST(ReportPage, TellsALimitFarAboveInsteadOfDrawingIt) {
  RunHistory history = make_history(10);
  EXPECT_TRUE(contains(report_html(history, "run"), "class=\"line limit\""));
  history.starts.front().memory_limit = 80 * kGiB;
  const std::string html = report_html(history, "run");
  EXPECT_FALSE(contains(html, "class=\"line limit\""));
  EXPECT_TRUE(contains(html, "limit 80.0 GiB, far above this chart"));
}

TEST(ReportPage, ListsWhatHappenedInOrder) {
  RunHistory history = make_history(10);
  history.starts.push_back({.first_step = 6, .host = "node-2", .device = "CPU", .rung = "less"});
  history.out_of_memory = {{3, "step 4", "full", "a", "a", true}, {3, "step 4", "full", "a", "b"}};
  const RunFigures figures = figures_of(history);
  ASSERT_EQ(figures.events.size(), 3u);
  EXPECT_EQ(figures.events[0].kind, RunEvent::Kind::kAgain);
  EXPECT_EQ(figures.events[1].kind, RunEvent::Kind::kRungChange);
  EXPECT_EQ(figures.events[2].kind, RunEvent::Kind::kRestart);
  EXPECT_EQ(figures.events[2].number, 3);
  EXPECT_TRUE(contains(report_html(history, "run"), "CPU on node-2"));
}

TEST(ReportPage, TakesRungChangesFromTheRecordWhereThereAreNoRows) {
  RunHistory history = make_history(10);
  history.outcome = Outcome{.rung_changes = {{2, "a", "b", "full"}}};
  EXPECT_EQ(figures_of(history).events.at(0).to, "b");
}

TEST(ReportPage, TakesThePlanFromTheRecordWhereThereAreNoRows) {
  RunHistory history = make_history(10);
  history.starts.clear();
  history.outcome = Outcome{.memory_limit = 8 * kGiB, .memory_planned = 4 * kGiB};
  const std::string html = report_html(history, "run");
  EXPECT_TRUE(contains(html, "class=\"line planned\""));
  EXPECT_TRUE(contains(html, "class=\"line limit\""));
}

TEST(ReportPage, SaysHowItEnded) {
  RunHistory history = make_history(2);
  EXPECT_TRUE(contains(report_html(history, "run"), "the run goes on, or was killed"));
  history.steps.back().time = 1700000000.0;
  EXPECT_TRUE(contains(report_html(history, "run"), "2023-11-14 22:13 UTC"));
  history.outcome = Outcome{.exit_reason = "done"};
  EXPECT_TRUE(contains(report_html(history, "run"), "<span class=\"badge done\">done</span>"));
  history.outcome = Outcome{.exit_code = 75, .exit_reason = "stopped on request"};
  EXPECT_TRUE(contains(report_html(history, "run"), "It ended with: stopped on request"));
  history.outcome = Outcome{.exit_code = 4, .exit_reason = "out of memory"};
  EXPECT_TRUE(contains(report_html(history, "run"), "failed, exit code 4"));
}

TEST(ReportPage, OfARunWithoutAStepHasNoCurves) {
  RunHistory history;
  EXPECT_TRUE(contains(report_html(history, "run"), "No step was finished"));
  history.outcome = Outcome{.exit_code = 4, .memory_planned_by_phase = {{"train", kGiB}}};
  const std::string html = report_html(history, "run");
  EXPECT_TRUE(contains(html, "No step was finished"));
  EXPECT_TRUE(contains(html, "<td>train</td><td class=\"number\">1.0 GiB</td>"));
}

TEST(ReportPage, OfOneStepShowsIt) {
  const std::string html = report_html(make_history(1), "run");
  EXPECT_TRUE(contains(html, "class=\"line dots smooth\""));
  EXPECT_FALSE(contains(html, "nan"));
}

TEST(ReportPage, StandsWithoutTheKeysOfOtherVersions) {
  RunHistory history;
  history.steps.resize(2);
  history.steps[0].step = 1;
  history.steps[1].step = 2;
  const std::string html = report_html(history, "run");
  EXPECT_TRUE(contains(html, "No finite value"));
  EXPECT_FALSE(contains(html, "inf"));
}

TEST(ReportPage, MarksStepsThatAreNotFinite) {
  RunHistory history = make_history(30);
  history.steps[10].loss = kNotANumber;
  history.steps[10].is_skipped = true;
  const std::string html = report_html(history, "run");
  EXPECT_TRUE(contains(html, "1 step skipped or not finite"));
  EXPECT_TRUE(contains(html, "<line class=\"fault\""));
}

TEST(ReportPage, IsTheSameForTheSameRecord) {
  EXPECT_EQ(report_html(make_history(40), "run"), report_html(make_history(40), "run"));
}

}  // namespace
}  // namespace rung::monitor
