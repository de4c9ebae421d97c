#include "monitor/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

#include "monitor/html.h"

namespace rung::monitor {
namespace {

// Beyond any value of a run, and far from where differences of doubles overflow.
constexpr double kLargest = 1e60;
constexpr double kLogRatio = 100.0;
constexpr size_t kMarkColumns = 150;
constexpr size_t kEventColumns = 200;
constexpr size_t kToldEvents = 5;  // under one label
// Labels of events that are nearer, as a part of the width, are written as one.
constexpr double kLabelDistance = 0.06;

bool is_drawable(double value) { return std::isfinite(value) && std::abs(value) <= kLargest; }

// The range of all values that are drawn.
class Extent {
 public:
  void add(double value) {
    if (!is_drawable(value)) return;
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
  }
  bool is_empty() const { return low_ > high_; }
  Range range() const { return {low_, high_}; }

 private:
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
};

// Of the lowest `count` parts.
double sum_of(const StackSample& sample, size_t count) {
  double sum = 0.0;
  for (size_t i = 0; i < count; ++i) sum += std::max(0.0, sample.parts[i]);
  return sum;
}

Extent extent_of(const Chart& chart) {
  Extent extent;
  for (const Line& line : chart.lines) {
    for (const Point& point : line.points) extent.add(point.y);
  }
  for (const MarkSet& set : chart.marks) {
    for (const Mark& mark : set.marks) extent.add(mark.at.y);
  }
  for (const StackSample& sample : chart.stack.samples) {
    extent.add(sample.whole);
    extent.add(sum_of(sample, sample.parts.size()));
  }
  return extent;
}

Axis value_axis(const Chart& chart) {
  const Extent extent = extent_of(chart);
  Range range = extent.is_empty() ? Range{0.0, 1.0} : extent.range();
  if (chart.log_if_wide && range.low > 0.0 && range.high > kLogRatio * range.low) {
    return Axis::around(range, chart.unit, Scale::kLog);
  }
  if (chart.from_zero) range = {std::min(0.0, range.low), std::max(0.0, range.high)};
  return Axis::around(range, chart.unit);
}

// "12.5", "3": a tenth of a pixel is finer than what is seen.
std::string number(double value) {
  std::string text = fmt::format("{:.1f}", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

class Writer {
 public:
  explicit Writer(const Chart& chart)
      : chart_(chart), steps_(Axis::of_steps(chart.steps)), values_(value_axis(chart)) {}

  std::string write() {
    print("<svg class=\"plot {}\" role=\"img\" aria-label=\"{}\" width=\"100%\" height=\"{}\">\n",
          chart_.css_class, escape_html(chart_.description), chart_.height);
    write_grid();
    print(
        "<svg class=\"curves\" width=\"100%\" height=\"{0}\" viewBox=\"0 0 {1} {0}\" "
        "preserveAspectRatio=\"none\">\n",
        chart_.height, chart_.columns);
    write_stack();
    for (const Line& line : chart_.lines) write_line(line);
    print("</svg>\n");
    write_faults();
    for (const Strip& strip : chart_.strips) write_strip(strip);
    write_events();
    for (const MarkSet& set : chart_.marks) write_marks(set);
    write_labels();
    print("</svg>\n");
    return std::move(out_);
  }

 private:
  template <class... Arguments>
  void print(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Arguments>(arguments)...);
  }

  std::string percent(double x) const { return fmt::format("{:.2f}%", 100.0 * steps_.position(x)); }
  std::string column(double x) const {
    return number(steps_.position(x) * static_cast<double>(chart_.columns));
  }
  std::string row(double y) const {
    return number((1.0 - values_.position(y)) * static_cast<double>(chart_.height));
  }

  void write_grid() {
    for (const Tick& tick : values_.ticks()) {
      print("<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{0}\" y2=\"{0}\"/>\n", row(tick.value));
    }
  }

  void write_labels() {
    for (const Tick& tick : values_.ticks()) {
      print("<text class=\"y\" x=\"-8\" y=\"{}\" dy=\".32em\">{}</text>\n", row(tick.value),
            tick.label);
    }
    for (const Tick& tick : steps_.ticks()) {
      print("<text class=\"x\" x=\"{}\" y=\"{}\">{}</text>\n", percent(tick.value),
            chart_.height + 18, tick.label);
    }
    print("<text class=\"y\" x=\"-8\" y=\"{}\">step</text>\n", chart_.height + 18);
  }

  void write_line(const Line& line) {
    const std::vector<Point> points = decimate(line.points, chart_.steps, chart_.columns);
    const auto is_gap = [&](size_t i) { return i >= points.size() || !is_drawable(points[i].y); };
    std::string path;
    std::string dots;  // points between gaps, which no line shows
    for (size_t i = 0; i < points.size(); ++i) {
      if (is_gap(i)) continue;
      const bool is_first = i == 0 || is_gap(i - 1);
      const std::string place = column(points[i].x) + " " + row(points[i].y);
      if (is_first && is_gap(i + 1)) {
        dots += "M" + place + "h0";
      } else {
        path += (is_first ? "M" : "L") + place;
      }
    }
    if (!path.empty()) print("<path class=\"line {}\" d=\"{}\"/>\n", line.css_class, path);
    if (!dots.empty()) print("<path class=\"line dots {}\" d=\"{}\"/>\n", line.css_class, dots);
  }

  struct Bar {
    const StackSample* sample;
    double end;  // where the next one begins
  };

  // The samples that are drawn: of those in one column that with the largest whole, so that no peak
  // is lost.
  std::vector<Bar> bars() const {
    const std::vector<StackSample>& samples = chart_.stack.samples;
    std::vector<double> xs(samples.size());
    std::ranges::transform(samples, xs.begin(), &StackSample::x);
    std::vector<Bar> bars;
    for (const Group& group : group_by_column(xs, chart_.steps, chart_.columns)) {
      const auto highest = std::max_element(
          samples.begin() + static_cast<ptrdiff_t>(group.first),
          samples.begin() + static_cast<ptrdiff_t>(group.end),
          [](const StackSample& a, const StackSample& b) { return a.whole < b.whole; });
      const bool is_last = group.end == samples.size();
      bars.push_back({&*highest, is_last ? chart_.steps.high : samples[group.end].x - 0.5});
    }
    return bars;
  }

  // The tops of the bars from left to right, as commands of a path that has come to their left end.
  template <class Height>
  std::string tops(const std::vector<Bar>& bars, Height height_of) const {
    std::string path;
    std::string level;
    std::string until;
    for (const Bar& bar : bars) {
      const std::string here = row(height_of(*bar.sample));
      if (here != level) {  // bars of one height run into one another
        if (!level.empty()) path += "H" + until;
        path += "V" + here;
        level = here;
      }
      until = column(bar.end);
    }
    return path + "H" + until;
  }

  // Each part is drawn down to the foot of the plot, the upper ones first: the lower ones cover
  // them.
  void write_stack() {
    const Stack& stack = chart_.stack;
    if (stack.samples.empty()) return;
    const std::vector<Bar> drawn = bars();
    const std::string begin = column(stack.samples.front().x - 0.5);
    for (size_t i = stack.part_classes.size(); i-- > 0;) {
      const auto height = [&](const StackSample& sample) { return sum_of(sample, i + 1); };
      print("<path class=\"part {0}\" d=\"M{1} {2}{3}V{2}Z\"/>\n", stack.part_classes[i], begin,
            row(0.0), tops(drawn, height));
    }
    print("<path class=\"line {}\" d=\"M{} {}{}\"/>\n", stack.whole_class, begin,
          row(drawn.front().sample->whole),
          tops(drawn, [](const StackSample& s) { return s.whole; }));
  }

  void write_faults() {
    for (const Group& group : group_by_column(chart_.faults, chart_.steps, kEventColumns)) {
      print("<line class=\"fault\" x1=\"{0}\" x2=\"{0}\" y1=\"{1}\" y2=\"{2}\"/>\n",
            percent(chart_.faults[group.first]), chart_.height, chart_.height - 8);
    }
  }

  void write_strip(const Strip& strip) {
    const double low = steps_.position(strip.low);
    print(
        "<rect class=\"strip\" x=\"{:.2f}%\" width=\"{:.2f}%\" height=\"100%\"><title>{}</title>"
        "</rect>\n",
        100.0 * low, 100.0 * (steps_.position(strip.high) - low), escape_html(strip.title));
  }

  void write_marks(const MarkSet& set) {
    std::vector<Point> points(set.marks.size());
    std::ranges::transform(set.marks, points.begin(), &Mark::at);
    for (const size_t i : extremes(points, chart_.steps, kMarkColumns)) {
      const Mark& mark = set.marks[i];
      if (!is_drawable(mark.at.y)) continue;
      print("<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"4\"><title>{}</title></circle>\n",
            set.css_class, percent(mark.at.x), row(mark.at.y), escape_html(mark.title));
    }
  }

  void write_events() {
    std::vector<double> xs(chart_.events.size());
    std::ranges::transform(chart_.events, xs.begin(), &EventLine::x);
    for (const Group& group : group_by_column(xs, chart_.steps, kEventColumns)) {
      const EventLine& event = chart_.events[group.first];
      print(
          "<line class=\"event {0}\" x1=\"{1}\" x2=\"{1}\" y1=\"-4\" y2=\"{2}\"><title>{3}"
          "</title></line>\n",
          event.css_class, percent(event.x), chart_.height, escape_html(event.title));
    }
    bool is_upper = false;  // two rows, by turns
    for (size_t first = 0; first < chart_.events.size(); is_upper = !is_upper) {
      const double at = steps_.position(chart_.events[first].x);
      size_t end = first + 1;
      while (end < chart_.events.size() &&
             steps_.position(chart_.events[end].x) - at < kLabelDistance)
        ++end;
      write_event_label({.first = first, .end = end}, at, is_upper ? -22 : -8);
      first = end;
    }
  }

  void write_event_label(Group group, double at, int y) {
    const EventLine& event = chart_.events[group.first];
    const bool is_one = group.end - group.first == 1;
    const char* anchor = at < kLabelDistance         ? "start"
                         : at > 1.0 - kLabelDistance ? "end"
                                                     : "middle";
    print("<text class=\"event {}\" x=\"{:.2f}%\" y=\"{}\" text-anchor=\"{}\">{}", event.css_class,
          100.0 * at, y, anchor, event.number);
    if (is_one) print("<tspan class=\"word\"> {}</tspan>", escape_html(event.word));
    if (!is_one) print("\u2013{}", chart_.events[group.end - 1].number);
    std::string title;
    for (size_t i = group.first; i < std::min(group.end, group.first + kToldEvents); ++i) {
      title += (title.empty() ? "" : "\n\n") + chart_.events[i].title;
    }
    print("<title>{}</title></text>\n", escape_html(title));
  }

  const Chart& chart_;
  Axis steps_;
  Axis values_;
  std::string out_;
};

}  // namespace

bool has_values(const Chart& chart) { return !extent_of(chart).is_empty(); }

std::string svg_chart(const Chart& chart) { return Writer(chart).write(); }

}  // namespace rung::monitor
