// Charts: what is drawn of long curves, of gaps, of events that stand close together.
#include "monitor/svg_chart.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace rung::monitor {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<Point> flat(size_t count, double y) {
  std::vector<Point> points;
  for (size_t i = 0; i < count; ++i) points.push_back({static_cast<double>(i), y});
  return points;
}

Range whole(const std::vector<Point>& points) { return {points.front().x, points.back().x}; }

bool has_value(const std::vector<Point>& points, double y) {
  return std::ranges::find(points, y, &Point::y) != points.end();
}

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// The path of class `css_class`.
std::string path_of(const std::string& svg, const std::string& css_class) {
  const std::string begin = "class=\"" + css_class + "\" d=\"";
  const size_t at = svg.find(begin);
  if (at == std::string::npos) return "";
  const size_t first = at + begin.size();
  return svg.substr(first, svg.find('"', first) - first);
}

Chart chart_of(std::vector<Point> points) {
  Chart chart{.css_class = "x", .height = 100, .columns = 100};
  chart.steps = {0.0, 10.0};
  chart.lines = {{"curve", std::move(points)}};
  return chart;
}

TEST(Decimate, KeepsTheExtremesOfALongCurve) {
  std::vector<Point> points = flat(100'000, 1.0);
  points[12'345].y = 99.0;
  points[54'321].y = -7.0;
  const std::vector<Point> kept = decimate(points, whole(points), 500);
  EXPECT_LE(kept.size(), 2000u);
  EXPECT_TRUE(has_value(kept, 99.0));
  EXPECT_TRUE(has_value(kept, -7.0));
  EXPECT_TRUE(std::ranges::is_sorted(kept, {}, &Point::x));
  EXPECT_EQ(kept.front().x, 0.0);
  EXPECT_EQ(kept.back().x, 99'999.0);
}

TEST(Decimate, LeavesAShortCurveAsItIs) {
  const std::vector<Point> points = flat(500, 1.0);
  EXPECT_EQ(decimate(points, whole(points), 500).size(), 500u);
}

TEST(Decimate, KeepsAGapThatIsAColumnWide) {
  std::vector<Point> points = flat(10'000, 1.0);
  for (size_t i = 4000; i < 4300; ++i) points[i].y = kNan;
  const std::vector<Point> kept = decimate(points, whole(points), 100);
  EXPECT_TRUE(std::ranges::any_of(kept, [](const Point& p) { return std::isnan(p.y); }));
  points[4000].y = points[4299].y = 5.0;
  EXPECT_TRUE(has_value(decimate(points, whole(points), 100), 5.0));
}

TEST(Extremes, KeepTheHighestMarkOfAColumn) {
  std::vector<Point> points = flat(5000, 1.0);
  points[77].y = 3.0;
  points[78].y = kNan;
  const std::vector<size_t> kept = extremes(points, whole(points), 100);
  EXPECT_LE(kept.size(), 200u);
  EXPECT_NE(std::ranges::find(kept, 77u), kept.end());
}

TEST(Smoothed, DoesNotLag) {
  std::vector<Point> points;
  for (int i = 0; i < 100; ++i) points.push_back({static_cast<double>(i), 2.0 * i});
  for (const Point& point : smoothed(points, 5, 1000)) EXPECT_NEAR(point.y, 2.0 * point.x, 1e-9);
}

TEST(Smoothed, PassesOverGapsAndForgetsAnOutlier) {
  std::vector<Point> points = flat(100, 1.0);
  points[10].y = kNan;
  points[50].y = 1e30;
  const std::vector<Point> curve = smoothed(points, 5, 1000);
  EXPECT_TRUE(std::isnan(curve[10].y));
  EXPECT_EQ(curve[9].y, 1.0);
  EXPECT_EQ(curve[60].y, 1.0);
}

TEST(Smoothed, OfALongCurveIsShort) {
  const std::vector<Point> points = flat(100'000, 1.0);
  EXPECT_LE(smoothed(points, 2000, 600).size(), 700u);
}

TEST(SvgChart, BreaksACurveAtWhatIsNotFinite) {
  const std::string path =
      path_of(svg_chart(chart_of({{0, 1}, {1, 2}, {2, kNan}, {3, 1}, {4, 2}})), "line curve");
  EXPECT_EQ(count_of(path, "M"), 2u) << path;
  EXPECT_EQ(count_of(path, "L"), 2u) << path;
}

TEST(SvgChart, APointBetweenGapsIsADot) {
  const std::string svg = svg_chart(chart_of({{0, 1}, {1, 2}, {2, kNan}, {3, 1}, {4, kNan}}));
  EXPECT_NE(path_of(svg, "line dots curve"), "");
  EXPECT_NE(path_of(svg_chart(chart_of({{5, 1}})), "line dots curve"), "");
}

TEST(SvgChart, WithoutValuesIsAnEmptyPlot) {
  EXPECT_FALSE(has_values(chart_of({{0, kNan}})));
  const std::string svg = svg_chart(chart_of({{0, kNan}, {1, kNan}}));
  EXPECT_EQ(svg.find("<path"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg_chart(chart_of({})).find("nan"), std::string::npos);
}

TEST(SvgChart, DrawsNothingBeyondReason) {
  const std::string svg = svg_chart(chart_of({{0, 1}, {1, 1.7e308}, {2, 2}, {3, 3}}));
  EXPECT_EQ(svg.find("inf"), std::string::npos);
  EXPECT_EQ(count_of(path_of(svg, "line curve"), "L"), 1u);
}

TEST(SvgChart, TakesALogarithmicAxisWhereValuesAreFarApart) {
  Chart chart = chart_of({{0, 0.1}, {5, 1000}, {10, 10}});
  EXPECT_EQ(svg_chart(chart).find(">1</text>"), std::string::npos);
  chart.log_if_wide = true;
  const std::string svg = svg_chart(chart);
  for (const char* label : {">0.1</text>", ">1</text>", ">1000</text>"})
    EXPECT_NE(svg.find(label), std::string::npos) << label;
}

TEST(SvgChart, StacksPartsFromTheBottom) {
  Chart chart{.css_class = "x", .height = 100, .columns = 100};
  chart.steps = {0.5, 2.5};
  chart.from_zero = true;
  chart.stack = {.part_classes = {"a", "b"},
                 .whole_class = "peak",
                 .samples = {{1, {20, 30}, 50}, {2, {20, 80}, 100}}};
  const std::string svg = svg_chart(chart);
  EXPECT_EQ(path_of(svg, "part a"), "M0 100V80H100V100Z");
  EXPECT_EQ(path_of(svg, "part b"), "M0 100V50H50V0H100V100Z");
  EXPECT_LT(svg.find("part b"), svg.find("part a")) << "the lower part has to cover the upper one";
}

TEST(SvgChart, AStackNeverLosesItsPeak) {
  Chart chart{.css_class = "x", .height = 1000, .columns = 100};
  chart.steps = {0.5, 10'000.5};
  chart.from_zero = true;
  chart.stack.whole_class = "peak";
  for (int i = 1; i <= 10'000; ++i)
    chart.stack.samples.push_back({static_cast<double>(i), {}, i == 5432 ? 1000.0 : 500.0});
  const std::string path = path_of(svg_chart(chart), "line peak");
  EXPECT_NE(path.find("V0H"), std::string::npos) << path;
}

TEST(SvgChart, EventsThatStandTogetherShareALabel) {
  Chart chart = chart_of({{0, 1}, {10, 2}});
  chart.events = {{2.0, 1, "again", "once more", "first"},
                  {2.1, 2, "rung", "rung", "second"},
                  {9.0, 3, "restart", "restart", "third"}};
  const std::string svg = svg_chart(chart);
  EXPECT_EQ(count_of(svg, "<line class=\"event"), 3u);
  EXPECT_EQ(count_of(svg, "<text class=\"event"), 2u);
  EXPECT_NE(svg.find("1\u20132"), std::string::npos) << svg;
  EXPECT_NE(svg.find("first\n\nsecond"), std::string::npos) << svg;
}

TEST(SvgChart, EscapesWhatItIsGiven) {
  Chart chart = chart_of({{0, 1}, {10, 2}});
  chart.description = "\"><script>";
  chart.strips = {{0, 1, "<b>"}};
  const std::string svg = svg_chart(chart);
  EXPECT_EQ(svg.find("<script>"), std::string::npos);
  EXPECT_EQ(svg.find("<b>"), std::string::npos);
}

}  // namespace
}  // namespace rung::monitor
