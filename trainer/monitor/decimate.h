// Curves of many points in the columns that a chart has room for. No extreme is lost.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "monitor/axis.h"

namespace rung::monitor {

// y is not finite where there is a gap in the curve. Curves are in rising order of x.
struct Point {
  double x = 0.0;
  double y = 0.0;
};

// A run of neighbouring elements that share a column.
struct Group {
  size_t first = 0;
  size_t end = 0;  // behind the last
};

// Splits elements with these `xs` (rising) into at most `columns` groups, as they lie in `range`.
// As many groups as elements where there are no more of these than columns.
std::vector<Group> group_by_column(std::span<const double> xs, Range range, size_t columns);

// Of each column the first, lowest, highest and last point (the curve keeps its outline, as drawn
// at one pixel a column); a column without a finite point keeps a gap. A curve of no more points
// than columns stays as it is.
std::vector<Point> decimate(std::span<const Point> points, Range range, size_t columns);

// The lowest and the highest of each column: marks that stand alone.
std::vector<size_t> extremes(std::span<const Point> points, Range range, size_t columns);

// The mean of a point and up to `reach` on either side of it, at every point or, of a long curve,
// at about `columns` of them. Near an end there are as many on one side as on the other, so that a
// curve that falls there is not bent, down to an eighth of `reach`, so that noise does not come
// through. Gaps count for nothing, and stay gaps where nothing finite is left out with them.
std::vector<Point> smoothed(std::span<const Point> points, size_t reach, size_t columns);

}  // namespace rung::monitor
