#include "monitor/decimate.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rung::monitor {
namespace {

constexpr double kGap = std::numeric_limits<double>::quiet_NaN();

std::vector<double> xs_of(std::span<const Point> points) {
  std::vector<double> xs(points.size());
  std::ranges::transform(points, xs.begin(), &Point::x);
  return xs;
}

double column_of(double x, Range range, size_t columns) {
  const double at = (x - range.low) / (range.high - range.low) * static_cast<double>(columns);
  return std::clamp(std::floor(at), 0.0, static_cast<double>(columns - 1));
}

// The finite points of a group that outline it, in order; none where it has none.
std::vector<size_t> outline(std::span<const Point> points, Group group) {
  std::vector<size_t> finite;
  for (size_t i = group.first; i < group.end; ++i) {
    if (std::isfinite(points[i].y)) finite.push_back(i);
  }
  if (finite.size() <= 4) return finite;
  const auto below = [&](size_t a, size_t b) { return points[a].y < points[b].y; };
  const auto [lowest, highest] = std::ranges::minmax_element(finite, below);
  std::vector<size_t> kept = {finite.front(), *lowest, *highest, finite.back()};
  std::ranges::sort(kept);
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

bool has_finite(std::span<const Point> points) {
  return std::ranges::any_of(points, [](const Point& point) { return std::isfinite(point.y); });
}

// Summed anew each time: one value of 1e30 in a running sum would swallow all that come after it.
double mean_of(std::span<const Point> points) {
  double sum = 0.0;
  double count = 0.0;
  for (const Point& point : points) {
    if (!std::isfinite(point.y)) continue;
    sum += point.y;
    count += 1.0;
  }
  return count > 0.0 ? sum / count : kGap;
}

}  // namespace

std::vector<Group> group_by_column(std::span<const double> xs, Range range, size_t columns) {
  const bool has_room = xs.size() <= columns;
  std::vector<Group> groups;
  double column = -1.0;
  for (size_t i = 0; i < xs.size(); ++i) {
    const double here = column_of(xs[i], range, columns);
    if (has_room || here != column) groups.push_back({.first = i, .end = i});
    column = here;
    groups.back().end = i + 1;
  }
  return groups;
}

std::vector<Point> decimate(std::span<const Point> points, Range range, size_t columns) {
  if (points.size() <= columns) return {points.begin(), points.end()};
  std::vector<Point> kept;
  for (const Group& group : group_by_column(xs_of(points), range, columns)) {
    const std::vector<size_t> indices = outline(points, group);
    if (indices.empty()) kept.push_back(points[group.first]);
    for (const size_t index : indices) kept.push_back(points[index]);
  }
  return kept;
}

std::vector<size_t> extremes(std::span<const Point> points, Range range, size_t columns) {
  std::vector<size_t> kept;
  for (const Group& group : group_by_column(xs_of(points), range, columns)) {
    size_t lowest = group.first;
    size_t highest = group.first;
    for (size_t i = group.first; i < group.end; ++i) {
      if (!std::isfinite(points[i].y)) continue;
      if (!(points[lowest].y <= points[i].y)) lowest = i;
      if (!(points[highest].y >= points[i].y)) highest = i;
    }
    if (!std::isfinite(points[lowest].y)) continue;
    kept.push_back(std::min(lowest, highest));
    if (lowest != highest) kept.push_back(std::max(lowest, highest));
  }
  return kept;
}

std::vector<Point> smoothed(std::span<const Point> points, size_t reach, size_t columns) {
  const size_t stride = std::max<size_t>(1, points.size() / columns);
  std::vector<Point> curve;
  for (size_t i = 0; i < points.size(); i += stride) {
    const size_t here = std::max(std::min({reach, i, points.size() - 1 - i}), reach / 8);
    const size_t first = i - std::min(here, i);
    const size_t end = std::min(i + here + 1, points.size());
    const std::span<const Point> left_out = points.subspan(i, std::min(stride, points.size() - i));
    curve.push_back(
        {points[i].x, has_finite(left_out) ? mean_of(points.subspan(first, end - first)) : kGap});
  }
  return curve;
}

}  // namespace rung::monitor
