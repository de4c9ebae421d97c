#include "monitor/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace rung::monitor {
namespace {

using Series = std::vector<double>;

double dot(const Series& a, const Series& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// values -= factor * direction
void subtract(Series& values, double factor, const Series& direction) {
  for (size_t i = 0; i < values.size(); ++i) values[i] -= factor * direction[i];
}

// Takes off what orthogonal `directions` explain.
void project_out(Series& values, const std::vector<Series>& directions) {
  for (const Series& direction : directions) {
    subtract(values, dot(values, direction) / dot(direction, direction), direction);
  }
}

// Orthogonal directions that span a constant and `causes`, those that add next to nothing left out.
std::vector<Series> directions_of(const std::vector<Series>& causes, size_t size) {
  constexpr double kNextToNothing = 1e-9;  // of the square of a cause's deviation
  std::vector<Series> directions = {Series(size, 1.0)};
  for (Series cause : causes) {
    project_out(cause, {directions.front()});
    const double before = dot(cause, cause);
    project_out(cause, directions);
    if (dot(cause, cause) > kNextToNothing * before) directions.push_back(std::move(cause));
  }
  return directions;
}

}  // namespace

double quantile(Series values, double share) {
  if (values.empty()) return 0.0;
  const auto at =
      static_cast<std::ptrdiff_t>(std::floor(share * static_cast<double>(values.size() - 1)));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<size_t>(at)];
}

double median(Series values) {
  if (values.empty()) return 0.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2.0;
}

double robust_deviation(const Series& values) {
  constexpr double kOfNormal = 1.4826;  // deviation / median absolute deviation
  const double middle = median(values);
  Series distances;
  distances.reserve(values.size());
  for (const double value : values) distances.push_back(std::abs(value - middle));
  return kOfNormal * median(std::move(distances));
}

double theil_sen_slope(std::span<const double> x, std::span<const double> y) {
  Series slopes;
  slopes.reserve(x.size() * x.size() / 2);
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = i + 1; j < x.size(); ++j) {
      if (x[j] > x[i]) slopes.push_back((y[j] - y[i]) / (x[j] - x[i]));
    }
  }
  return median(std::move(slopes));
}

double rising_confidence(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  int64_t rises = 0;  // pairs that rise less pairs that fall
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = i + 1; j < values.size(); ++j) {
      rises += (values[j] > values[i]) - (values[j] < values[i]);
    }
  }
  double variance = n * (n - 1.0) * (2.0 * n + 5.0);
  Series sorted(values.begin(), values.end());
  std::ranges::sort(sorted);
  for (size_t begin = 0; begin < sorted.size();) {
    size_t end = begin;
    while (end < sorted.size() && sorted[end] == sorted[begin]) ++end;
    const auto tied = static_cast<double>(end - begin);
    variance -= tied * (tied - 1.0) * (2.0 * tied + 5.0);
    begin = end;
  }
  if (rises == 0 || variance <= 0.0) return 0.5;
  const double sign = rises > 0 ? 1.0 : -1.0;
  const double z = (static_cast<double>(rises) - sign) / std::sqrt(variance / 18.0);
  return 0.5 * std::erfc(-z / std::sqrt(2.0));
}

Series without_causes(const Series& values, const Series& time, const std::vector<Series>& causes) {
  constexpr double kToldApart = 1e-2;  // of the square of time's deviation
  const std::vector<Series> directions = directions_of(causes, values.size());
  Series own_time = time;  // what the causes leave of it
  project_out(own_time, {directions.front()});
  const double before = dot(own_time, own_time);
  project_out(own_time, directions);
  if (dot(own_time, own_time) <= kToldApart * before) return {};
  Series rest = values;
  project_out(rest, directions);
  const double slope = dot(own_time, rest) / dot(own_time, own_time);
  // What is no cause's: the trend, and what neither trend nor cause explains.
  Series result(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    result[i] = rest[i] + slope * (time[i] - own_time[i]);
  }
  return result;
}

Points thinned(const Points& points, size_t most) {
  const size_t size = points.x.size();
  if (size <= most) return points;
  Points thin;
  for (size_t group = 0; group < most; ++group) {
    const auto begin = static_cast<std::ptrdiff_t>(group * size / most);
    const auto end = static_cast<std::ptrdiff_t>((group + 1) * size / most);
    const Series x(points.x.begin() + begin, points.x.begin() + end);
    thin.x.push_back(std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size()));
    thin.y.push_back(median(Series(points.y.begin() + begin, points.y.begin() + end)));
  }
  return thin;
}

}  // namespace rung::monitor
