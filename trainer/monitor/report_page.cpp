#include "monitor/report_page.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "monitor/html.h"
#include "monitor/report_charts.h"
#include "monitor/report_figures.h"
#include "monitor/report_style.h"
#include "monitor/svg_chart.h"
#include "monitor/verdict.h"

namespace rung::monitor {
namespace {

constexpr size_t kMaxEventRows = 200;

struct Badge {
  const char* css_class;
  std::string text;
};

Badge badge_of(const std::optional<Outcome>& outcome) {
  if (!outcome) return {"open", "no end recorded"};
  const int code = outcome->exit_code;
  if (code == static_cast<int>(ExitCode::kOk)) return {"done", "done"};
  if (code == static_cast<int>(ExitCode::kStopped)) return {"stopped", "stopped, can go on"};
  return {"failed", fmt::format("failed, exit code {}", code)};
}

// "2026-11-26 01:05 UTC"; "" of what is no time of a run.
std::string utc(double seconds) {
  constexpr double kYear10000 = 253'402'300'800.0;
  if (!(seconds > 0.0 && seconds < kYear10000)) return "";
  return fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string percent_of(Bytes part, Bytes whole) {
  if (whole <= 0) return "";
  return fmt::format("{:.1f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string bytes_or_dash(const std::optional<Bytes>& bytes) {
  return bytes ? format_bytes(*bytes) : "-";
}

const char* css_class_of(LegendEntry::Sample sample) {
  switch (sample) {
    case LegendEntry::Sample::kLine:
      return "";
    case LegendEntry::Sample::kDash:
      return "dash";
    case LegendEntry::Sample::kDot:
      return "dot";
    case LegendEntry::Sample::kEvent:
      return "event";
    case LegendEntry::Sample::kArea:
      return "area";
  }
  return "";
}

class Page {
 public:
  Page(const RunHistory& history, const std::string& title)
      : history_(history),
        figures_(figures_of(history)),
        verdict_(verdict_of(history)),
        title_(title) {}

  std::string write() {
    write_head();
    print("<body>\n<header>\n<h1>{} <span class=\"badge {}\">{}</span></h1>\n", text(title_),
          badge_of(history_.outcome).css_class, text(badge_of(history_.outcome).text));
    write_end();
    write_place();
    print("</header>\n<main>\n");
    write_verdict();
    write_tiles();
    if (history_.steps.empty()) {
      print(
          "<section class=\"card\"><p>No step was finished: there are no curves.</p></section>\n");
      write_memory_tables();
    } else {
      write_memory();
      write_curves();
    }
    write_events();
    write_config();
    print("</main>\n");
    write_footer();
    print("</body>\n</html>\n");
    return std::move(out_);
  }

 private:
  template <class... Arguments>
  void print(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Arguments>(arguments)...);
  }
  static std::string text(std::string_view raw) { return escape_html(raw); }

  void write_head() {
    // Nothing is fetched and no script runs, even if a text of the run should slip through.
    print(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" "
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>{} \u2013 rung report</title>\n<style>{}",
        text(title_), kReportStyle);
    for (int i = 0; i < kComponentColours; ++i) {
      print(".part.c{0} {{ fill: var(--c{0}); }} .key.c{0} {{ background: var(--c{0}); }}\n", i);
    }
    print("</style>\n</head>\n");
  }

  void write_end() {
    if (!history_.outcome) {
      const std::string last = history_.steps.empty() ? "" : utc(history_.steps.back().time);
      print("<p>There is no run.json: the run goes on, or was killed{}.</p>\n",
            last.empty() ? "" : "; its last step was written at " + last);
    } else if (history_.outcome->exit_code != static_cast<int>(ExitCode::kOk)) {
      print("<p>It ended with: {}</p>\n", text(history_.outcome->exit_reason));
    }
  }

  void write_place() {
    if (history_.starts.empty()) return;
    const Start& last = history_.starts.back();
    std::string line = last.device;
    const auto append = [&](const std::string& more) {
      if (more.empty()) return;
      line += (line.empty() ? "" : " \u00b7 ") + more;
    };
    append(last.host);
    append(utc(history_.starts.front().time).empty()
               ? ""
               : "started " + utc(history_.starts.front().time));
    append(last.rung);
    print("<p class=\"quiet\">{}</p>\n", text(line));
  }

  // As `rung monitor` has it. Of a run without a step there is none.
  void write_verdict() {
    if (verdict_.kind == Kind::kUnknown) return;
    print("<section class=\"card verdict\" aria-label=\"Verdict\">\n");
    if (verdict_.findings.empty()) write_finding(verdict_.kind, Harm::kNone, verdict_.evidence);
    for (const Finding& finding : verdict_.findings) {
      write_finding(finding.kind, finding.harm, finding.evidence);
      print("<p class=\"quiet\">What to do: {}</p>\n", text(finding.advice));
    }
    print("</section>\n");
  }

  void write_finding(Kind kind, Harm harm, const std::string& evidence) {
    print("<p><span class=\"badge {}\">{}</span> {}</p>\n", name_of(harm), name_of(kind),
          text(evidence));
  }

  void write_tile(const std::string& name, const std::string& value, const std::string& more = "") {
    print("<div><dt>{}</dt><dd>{}", text(name), text(value));
    if (!more.empty()) print("<small>{}</small>", text(more));
    print("</dd></div>\n");
  }

  void write_tiles() {
    print("<dl class=\"tiles\">\n");
    const std::string of =
        figures_.total_steps > figures_.steps ? "of " + format_count(figures_.total_steps) : "";
    const std::string skipped =
        figures_.skipped_steps > 0 ? format_count(figures_.skipped_steps) + " skipped" : "";
    write_tile("steps", format_count(figures_.steps),
               of + (of.empty() || skipped.empty() ? "" : ", ") + skipped);
    write_tile("tokens", format_count(figures_.tokens));
    if (figures_.seconds > 0.0) write_tile("training time", format_duration(figures_.seconds));
    if (figures_.median_tokens_per_second > 0.0) {
      const auto rate = static_cast<int64_t>(std::min(1e18, figures_.median_tokens_per_second));
      write_tile("tokens a second", format_count(rate), "median of the steps");
    }
    if (figures_.memory_measured > 0) {
      write_tile("peak memory", format_bytes(figures_.memory_measured), share_of_plan());
    }
    write_loss_tiles();
    print("</dl>\n");
  }

  std::string share_of_plan() const {
    if (figures_.memory_planned <= 0) return "";
    return fmt::format("{} of the {} planned",
                       percent_of(figures_.memory_measured, figures_.memory_planned),
                       format_bytes(figures_.memory_planned));
  }

  void write_loss_tiles() {
    if (!history_.steps.empty() && std::isfinite(history_.steps.back().loss)) {
      write_tile("loss", fmt::format("{:.4g}", history_.steps.back().loss), "of the last step");
    }
    const Evaluation* best = nullptr;
    for (const Evaluation& evaluation : history_.evaluations) {
      if (std::isfinite(evaluation.loss) && (!best || evaluation.loss < best->loss))
        best = &evaluation;
    }
    if (!best) return;
    write_tile("validation loss", fmt::format("{:.4g}", best->loss),
               fmt::format("the lowest, after step {}", best->step));
  }

  void write_chart(const ChartFigure& figure) {
    print("<h2>{}</h2>\n<ul class=\"legend\">\n", text(figure.heading));
    for (const LegendEntry& entry : figure.legend) {
      print("<li><span class=\"key {} {}\"></span>{}</li>\n", css_class_of(entry.sample),
            entry.css_class, text(entry.text));
    }
    print("</ul>\n<div class=\"plot-room{}\">\n{}</div>\n",
          figure.chart.events.empty() ? "" : " with-events", svg_chart(figure.chart));
    if (!has_values(figure.chart)) print("<p class=\"quiet\">No finite value.</p>\n");
  }

  void write_memory() {
    print("<figure class=\"card wide\" aria-label=\"Memory\">\n");
    write_chart(memory_figure(history_, figures_));
    write_highest_step();
    print("</figure>\n");
    write_memory_tables();
  }

  // What the step of the highest peak was made of: the place to look where it is too high.
  void write_highest_step() {
    if (!figures_.highest_step_idx) return;
    const Step& step = history_.steps[*figures_.highest_step_idx];
    const LargestMicroBatch& largest = step.largest_micro_batch;
    print("<p>Highest peak of a step: <strong>{}</strong> in step {}",
          format_bytes(step.memory_peak), step.step);
    if (largest.tokens > 0) {
      print(", whose largest micro-batch had {} in {}", format_counted(largest.tokens, "token"),
            format_counted(largest.documents, "document"));
    }
    const char* between = ": ";
    for (size_t i = 0; i < std::min<size_t>(3, largest.examples.size()); ++i) {
      const ExampleSize& example = largest.examples[i];
      print("{}{} ({})", between, text(example.source), format_counted(example.tokens, "token"));
      between = ", ";
    }
    print(".</p>\n");
  }

  void write_memory_tables() {
    if (figures_.phases.empty() && figures_.components.empty()) return;
    print("<div class=\"columns\">\n");
    write_phases();
    write_components();
    print("</div>\n");
  }

  void write_phases() {
    if (figures_.phases.empty()) return;
    print(
        "<div class=\"card\"><h3>Peak by phase</h3>\n<table class=\"phases\">\n<tr><th "
        "scope=\"col\">phase</th>"
        "<th scope=\"col\" class=\"number\">planned</th><th scope=\"col\" "
        "class=\"number\">measured</th>"
        "<th scope=\"col\" class=\"number\">of the plan</th></tr>\n");
    for (const PhaseMemory& row : figures_.phases) {
      const bool has_both = row.planned && row.measured;
      print(
          "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>"
          "<td class=\"number\">{}</td></tr>\n",
          text(row.phase), bytes_or_dash(row.planned), bytes_or_dash(row.measured),
          has_both ? percent_of(*row.measured, *row.planned) : "");
    }
    print(
        "</table>\n<p class=\"quiet\">A phase stays below its plan where its largest batch did not "
        "occur.</p>\n");
    write_beside_tensors();
    print("</div>\n");
  }

  // What is on the device besides tensors, at most.
  void write_beside_tensors() {
    Bytes other = 0;
    Bytes reserved = 0;
    Bytes neighbours = 0;
    for (const Step& step : history_.steps) {
      other = std::max(other, step.memory_other);
      reserved = std::max(reserved, step.memory_reserved);
      neighbours = std::max(neighbours, step.memory_neighbours.value_or(0));
    }
    const auto say = [&](const char* what, Bytes bytes) {
      if (bytes > 0) print("<p class=\"quiet\">{}: at most {}.</p>\n", what, format_bytes(bytes));
    };
    // Held at the end of a step; below the largest peak that would say nothing.
    if (reserved > figures_.memory_measured) {
      say("Held for tensors, cached blocks included", reserved);
    }
    say("Beside tensors in this process", other);
    const bool on_gpu = !history_.starts.empty() && !history_.starts.back().pci_bus_id.empty();
    if (on_gpu) say("Of other processes on the GPU", neighbours);
  }

  void write_components() {
    if (figures_.components.empty()) return;
    print(
        "<div class=\"card\"><h3>At the peak of a training step</h3>\n"
        "<table class=\"components\">\n<tr><th scope=\"col\">component</th><th scope=\"col\" "
        "class=\"number\">planned</th>"
        "<th scope=\"col\" class=\"number\">measured</th></tr>\n");
    // As they are stacked: the highest first.
    for (auto row = figures_.components.rbegin(); row != figures_.components.rend(); ++row) {
      print(
          "<tr><td><span class=\"key area {}\"></span>{}</td><td class=\"number\">{}</td>"
          "<td class=\"number\">{}</td></tr>\n",
          row->css_class, text(row->name), bytes_or_dash(row->planned),
          format_bytes(row->measured));
    }
    print("</table></div>\n");
  }

  void write_curves() {
    print("<div class=\"columns\">\n");
    for (const auto make :
         {loss_figure, speed_figure, learning_rate_figure, gradient_norm_figure}) {
      const ChartFigure figure = make(history_, figures_);
      print("<figure class=\"card\" aria-label=\"{}\">\n", text(figure.heading));
      write_chart(figure);
      print("</figure>\n");
    }
    print("</div>\n");
  }

  void write_events() {
    if (figures_.events.empty()) return;
    print(
        "<section class=\"card\"><h2>On the way</h2>\n<div class=\"scroll\">"
        "<table class=\"events\">\n<tr><th scope=\"col\">no.</th><th scope=\"col\">after "
        "step</th><th scope=\"col\">what</th><th scope=\"col\">from</th>"
        "<th scope=\"col\">with</th><th scope=\"col\">reason</th></tr>\n");
    const size_t shown = std::min(figures_.events.size(), kMaxEventRows);
    for (size_t i = 0; i < shown; ++i) {
      const RunEvent& event = figures_.events[i];
      print(
          "<tr><td>{}</td> <td class=\"step\">{}</td> <td>{}</td><td class=\"text from\">{}</td>"
          "<td class=\"text with\">{}</td><td class=\"text\">{}</td></tr>\n",
          event.number, event.step, word_of(event.kind), text(event.from), text(event.to),
          text(event.reason));
    }
    print("</table></div>\n");
    if (shown < figures_.events.size()) {
      print("<p class=\"quiet\">and {} more, in metrics.jsonl</p>\n",
            format_count(static_cast<int64_t>(figures_.events.size() - shown)));
    }
    print("</section>\n");
  }

  void write_config() {
    if (!history_.outcome || history_.outcome->config.empty()) return;
    print(
        "<details class=\"card\"><summary>Configuration, as it was used</summary>\n<pre>{}</pre>\n"
        "</details>\n",
        text(history_.outcome->config));
  }

  void write_footer() {
    std::string versions;
    if (history_.outcome) {
      for (const auto& [name, version] : history_.outcome->versions) {
        versions += (versions.empty() ? "" : ", ") + name + " " + version;
      }
    }
    if (!versions.empty()) print("<footer><p>{}</p></footer>\n", text(versions));
  }

  const RunHistory& history_;
  RunFigures figures_;
  Verdict verdict_;
  std::string title_;
  std::string out_;
};

}  // namespace

std::string report_html(const RunHistory& history, const std::string& title) {
  return Page(history, title).write();
}

}  // namespace rung::monitor
