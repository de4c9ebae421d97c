// The few statistics that verdicts stand on. Those of medians and ranks bear outliers; what
// without_causes takes off, by least squares, does not.
//
// Sources: Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968 (slope);
// Mann, "Nonparametric tests against trend", 1945, with the correction for ties (trend); Frisch and
// Waugh, "Partial time regressions as compared with individual trends", 1933 (without_causes).
#pragma once

#include <span>
#include <vector>

namespace rung::monitor {

// Of a series without values: 0.
double median(std::vector<double> values);
// The value that `share` (0..1) of them do not exceed.
double quantile(std::vector<double> values, double share);
// The standard deviation that the median absolute deviation of normally distributed values has.
double robust_deviation(const std::vector<double>& values);

// The median slope through all pairs of points (x ascending): up to 29 % of them may be anywhere.
double theil_sen_slope(std::span<const double> x, std::span<const double> y);

// 0..1: how sure it is that the series rises, 0.5 where it says nothing (Mann-Kendall, one-sided).
double rising_confidence(std::span<const double> values);

// `values` without what `causes` explain, while a straight trend along `time` is left in: that part
// of causes which is not itself time is taken off by least squares. Empty where the causes follow
// time so closely that nothing can tell them apart.
std::vector<double> without_causes(const std::vector<double>& values,
                                   const std::vector<double>& time,
                                   const std::vector<std::vector<double>>& causes);

// At most `most` points in the place of many: means of x and medians of y in groups of neighbours.
struct Points {
  std::vector<double> x;
  std::vector<double> y;
};
Points thinned(const Points& points, size_t most);

}  // namespace rung::monitor
