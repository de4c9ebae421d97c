#include "monitor/report_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>

#include "base/units.h"
#include "monitor/cut_text.h"

namespace rung::monitor {
namespace {

constexpr size_t kStrips = 100;
constexpr size_t kSmoothedFrom = 30;  // steps; fewer are seen one by one
// A limit so many times the highest peak would press the curves flat: it is told, not drawn.
constexpr double kFarAbove = 2.5;

using Sample = LegendEntry::Sample;

Range step_range(const RunHistory& history) {
  return {static_cast<double>(history.steps.front().step) - 0.5,
          static_cast<double>(history.steps.back().step) + 0.5};
}

// Between the last step that was done and the next.
double place_of(const RunEvent& event) { return static_cast<double>(event.step) + 0.5; }

std::string class_of(RunEvent::Kind kind) {
  switch (kind) {
    case RunEvent::Kind::kRestart:
      return "restart";
    case RunEvent::Kind::kAgain:
      return "again";
    case RunEvent::Kind::kRungChange:
      return "rung";
  }
  return "";
}

std::vector<EventLine> event_lines(const RunFigures& figures, Range range) {
  std::vector<EventLine> lines;
  for (const RunEvent& event : figures.events) {
    const double x = place_of(event);
    if (x < range.low || x > range.high) continue;
    lines.push_back({.x = x,
                     .number = event.number,
                     .css_class = class_of(event.kind),
                     .word = word_of(event.kind),
                     .title = event_text(event)});
  }
  return lines;
}

std::string span_text(std::span<const Step> steps) {
  if (steps.size() == 1) return fmt::format("step {}", steps.front().step);
  return fmt::format("steps {} to {}", steps.front().step, steps.back().step);
}

std::vector<Strip> make_strips(const RunHistory& history, Range range,
                               const std::function<std::string(std::span<const Step>)>& text) {
  std::vector<double> xs(history.steps.size());
  std::ranges::transform(history.steps, xs.begin(),
                         [](const Step& step) { return static_cast<double>(step.step); });
  std::vector<Strip> strips;
  for (const Group& group : group_by_column(xs, range, kStrips)) {
    const std::span<const Step> steps(&history.steps[group.first], group.end - group.first);
    const double high = group.end == xs.size() ? range.high : xs[group.end] - 0.5;
    strips.push_back({.low = xs[group.first] - 0.5, .high = high, .title = text(steps)});
  }
  return strips;
}

// What the curves of single figures share.
struct Curve {
  std::string name;
  std::string heading;
  Unit unit = Unit::kPlain;
  bool from_zero = false;
  bool log_if_wide = false;
  bool is_smoothed = false;
  std::function<double(const Step&)> value;
};

// "1.23", or "1.23 to 4.56" over several steps; "not finite" where there is no such value.
std::string values_text(std::span<const Step> steps, const Curve& curve) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const Step& step : steps) {
    const double value = curve.value(step);
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) return "not finite";
  const std::string from = fmt::format("{:.4g}", low);
  const std::string to = fmt::format("{:.4g}", high);
  return from == to ? from : from + " to " + to;
}

// Steps on either side, so that a run of any length shows its course.
size_t smoothing_reach(size_t num_steps) { return std::max<size_t>(3, num_steps / 50); }

void add_event_legend(const RunFigures& figures, ChartFigure& figure) {
  const auto add = [&](RunEvent::Kind kind, const char* text) {
    if (std::ranges::find(figures.events, kind, &RunEvent::kind) == figures.events.end()) return;
    figure.legend.push_back({Sample::kEvent, class_of(kind), text});
  };
  add(RunEvent::Kind::kRungChange, "rung change");
  add(RunEvent::Kind::kAgain, "step done once more");
  add(RunEvent::Kind::kRestart, "restart");
}

ChartFigure curve_figure(const RunHistory& history, const RunFigures& figures, const Curve& curve) {
  ChartFigure figure{.heading = curve.heading};
  Chart& chart = figure.chart;
  chart = {.css_class = curve.name,
           .steps = step_range(history),
           .unit = curve.unit,
           .from_zero = curve.from_zero,
           .log_if_wide = curve.log_if_wide};
  std::vector<Point> points;
  for (const Step& step : history.steps) {
    points.push_back({static_cast<double>(step.step), curve.value(step)});
  }
  chart.events = event_lines(figures, chart.steps);
  chart.strips = make_strips(history, chart.steps, [&](std::span<const Step> steps) {
    return span_text(steps) + ": " + values_text(steps, curve);
  });
  chart.description =
      fmt::format("{}: {} over {}", curve.heading, values_text(history.steps, curve),
                  format_counted(static_cast<int64_t>(points.size()), "step"));
  if (curve.is_smoothed && points.size() >= kSmoothedFrom) {
    chart.lines = {{"raw", points},
                   {"smooth", smoothed(points, smoothing_reach(points.size()), chart.columns)}};
    figure.legend = {{Sample::kLine, "raw", "each step"}, {Sample::kLine, "smooth", "smoothed"}};
  } else {
    chart.lines = {{"smooth", std::move(points)}};
  }
  return figure;
}

void add_faults(const RunHistory& history, ChartFigure& figure) {
  for (const Step& step : history.steps) {
    if (step.is_skipped || !std::isfinite(step.loss))
      figure.chart.faults.push_back(static_cast<double>(step.step));
  }
  if (figure.chart.faults.empty()) return;
  const auto count = static_cast<int64_t>(figure.chart.faults.size());
  figure.legend.push_back(
      {Sample::kEvent, "fault", format_counted(count, "step") + " skipped or not finite"});
}

// A dashed line at the bytes that `value` says of each process of the run.
Line level_line(const std::vector<Start>& starts, Range range, const std::string& css_class,
                Bytes Start::*value) {
  Line line{.css_class = css_class};
  for (size_t i = 0; i < starts.size(); ++i) {
    const auto bytes = static_cast<double>(starts[i].*value);
    const double y = bytes > 0.0 ? bytes : kNotANumber;
    const bool is_last = i + 1 == starts.size();
    const double end = is_last ? range.high : static_cast<double>(starts[i + 1].first_step) + 0.5;
    line.points.push_back({static_cast<double>(starts[i].first_step) + 0.5, y});
    line.points.push_back({end, y});
  }
  return line;
}

void add_levels(const RunHistory& history, const RunFigures& figures, ChartFigure& figure) {
  const std::vector<Start> starts = starts_in_force(history);
  if (starts.empty()) return;
  if (figures.memory_planned > 0) {
    figure.chart.lines.push_back(
        level_line(starts, figure.chart.steps, "planned", &Start::memory_planned));
    const std::string last = format_bytes(starts.back().memory_planned);
    const std::string largest = format_bytes(figures.memory_planned);
    figure.legend.push_back(
        {Sample::kDash, "planned",
         "planned peak " + largest + (last == largest ? "" : ", in the end " + last)});
  }
  if (figures.memory_limit <= 0) return;
  const auto highest =
      static_cast<double>(std::max(figures.memory_planned, figures.memory_measured));
  const bool is_far = static_cast<double>(figures.memory_limit) > kFarAbove * highest;
  if (!is_far)
    figure.chart.lines.push_back(
        level_line(starts, figure.chart.steps, "limit", &Start::memory_limit));
  figure.legend.push_back({Sample::kDash, "limit",
                           fmt::format("limit {}{}", format_bytes(figures.memory_limit),
                                       is_far ? ", far above this chart" : "")});
}

Stack memory_stack(const RunHistory& history, const RunFigures& figures, Range range,
                   size_t columns) {
  Stack stack{.whole_class = "peak"};
  for (const ComponentMemory& component : figures.components) {
    stack.part_classes.push_back(component.css_class);
  }
  // One sample a column already here: the parts of all steps would take more than the record.
  std::vector<double> xs(history.steps.size());
  std::ranges::transform(history.steps, xs.begin(),
                         [](const Step& step) { return static_cast<double>(step.step); });
  for (const Group& group : group_by_column(xs, range, columns)) {
    const std::span<const Step> steps(&history.steps[group.first], group.end - group.first);
    const Step& highest = *std::ranges::max_element(steps, {}, &Step::memory_peak);
    stack.samples.push_back({.x = xs[group.first],
                             .parts = parts_of(highest.memory_at_peak, figures),
                             .whole = static_cast<double>(highest.memory_peak)});
  }
  return stack;
}

std::string memory_text(std::span<const Step> steps) {
  const Step& highest = *std::ranges::max_element(steps, {}, &Step::memory_peak);
  std::string text =
      fmt::format("step {}: peak {}", highest.step, format_bytes(highest.memory_peak));
  if (steps.size() > 1) text = span_text(steps) + ", the highest is " + text;
  const ByComponent& parts = highest.memory_at_peak;
  for (size_t i = 0; i < std::min<size_t>(parts.size(), 12); ++i) {
    if (parts.bytes(i) <= 0) continue;
    text += fmt::format("\n{} {}", parts.name(i), format_bytes(parts.bytes(i)));
  }
  return text;
}

MarkSet evaluation_marks(const RunHistory& history, const char* css_class,
                         const std::function<double(const Evaluation&)>& value,
                         const std::function<std::string(const Evaluation&)>& text) {
  MarkSet set{.css_class = css_class};
  for (const Evaluation& evaluation : history.evaluations) {
    const double y = value(evaluation);
    if (!std::isfinite(y)) continue;
    set.marks.push_back(
        {{static_cast<double>(evaluation.step), y},
         fmt::format("evaluation after step {}: {}", evaluation.step, text(evaluation))});
  }
  return set;
}

}  // namespace

std::string event_text(const RunEvent& event) {
  std::string text =
      fmt::format("{} {}, after step {}", event.number, word_of(event.kind), event.step);
  if (!event.from.empty() && event.from != event.to) text += "\nfrom: " + event.from;
  if (!event.to.empty()) text += "\nwith: " + event.to;
  constexpr size_t kMostBytes = 600;  // each stands in every chart
  return cut_text(event.reason.empty() ? text : text + "\n" + event.reason, kMostBytes);
}

ChartFigure memory_figure(const RunHistory& history, const RunFigures& figures) {
  ChartFigure figure{.heading = "Memory"};
  Chart& chart = figure.chart;
  chart = {.css_class = "memory",
           .height = 300,
           .columns = 1000,
           .steps = step_range(history),
           .unit = Unit::kBytes,
           .from_zero = true};
  chart.stack = memory_stack(history, figures, chart.steps, chart.columns);
  const size_t each = (history.steps.size() + chart.columns - 1) / chart.columns;
  figure.legend.push_back({Sample::kLine, "peak",
                           each == 1 ? "measured peak of each step"
                                     : fmt::format("highest measured peak of {} steps", each)});
  MarkSet evaluations = evaluation_marks(
      history, "eval",
      [](const Evaluation& evaluation) {
        return evaluation.memory_peak > 0 ? static_cast<double>(evaluation.memory_peak)
                                          : kNotANumber;
      },
      [](const Evaluation& evaluation) { return format_bytes(evaluation.memory_peak); });
  if (!evaluations.marks.empty())
    figure.legend.push_back({Sample::kDot, "eval", "peak of an evaluation"});
  chart.marks = {std::move(evaluations)};
  add_levels(history, figures, figure);
  chart.events = event_lines(figures, chart.steps);
  add_event_legend(figures, figure);
  // As they are stacked: the highest first.
  for (auto part = figures.components.rbegin(); part != figures.components.rend(); ++part) {
    figure.legend.push_back({Sample::kArea, part->css_class, part->name});
  }
  chart.strips = make_strips(history, chart.steps, memory_text);
  chart.description =
      fmt::format("Memory by step: highest peak {}, planned {}, limit {}",
                  format_bytes(figures.memory_measured), format_bytes(figures.memory_planned),
                  format_bytes(figures.memory_limit));
  return figure;
}

ChartFigure loss_figure(const RunHistory& history, const RunFigures& figures) {
  ChartFigure figure = curve_figure(history, figures,
                                    {.name = "loss",
                                     .heading = "Loss",
                                     .log_if_wide = true,
                                     .is_smoothed = true,
                                     .value = [](const Step& step) { return step.loss; }});
  MarkSet evaluations = evaluation_marks(
      history, "eval", [](const Evaluation& evaluation) { return evaluation.loss; },
      [](const Evaluation& evaluation) {
        return fmt::format("loss {:.4f}, perplexity {:.4g}", evaluation.loss,
                           evaluation.perplexity);
      });
  if (!evaluations.marks.empty()) {
    Line line{.css_class = "eval"};
    for (const Mark& mark : evaluations.marks) line.points.push_back(mark.at);
    figure.chart.lines.push_back(std::move(line));
    figure.legend.push_back({Sample::kDot, "eval", "validation"});
  }
  figure.chart.marks = {std::move(evaluations)};
  add_faults(history, figure);
  return figure;
}

ChartFigure speed_figure(const RunHistory& history, const RunFigures& figures) {
  return curve_figure(history, figures,
                      {.name = "speed",
                       .heading = "Tokens a second",
                       .unit = Unit::kCount,
                       .from_zero = true,
                       .is_smoothed = true,
                       .value = [](const Step& step) { return step.tokens_per_second; }});
}

ChartFigure learning_rate_figure(const RunHistory& history, const RunFigures& figures) {
  return curve_figure(history, figures,
                      {.name = "learning-rate",
                       .heading = "Learning rate",
                       .from_zero = true,
                       .value = [](const Step& step) { return step.learning_rate; }});
}

ChartFigure gradient_norm_figure(const RunHistory& history, const RunFigures& figures) {
  ChartFigure figure = curve_figure(history, figures,
                                    {.name = "gradient-norm",
                                     .heading = "Gradient norm",
                                     .from_zero = true,
                                     .log_if_wide = true,
                                     .is_smoothed = true,
                                     .value = [](const Step& step) { return step.grad_norm; }});
  add_faults(history, figure);
  return figure;
}

}  // namespace rung::monitor
