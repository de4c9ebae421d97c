// The axis of a chart: what range it shows, where a value lies in it, and its ticks.
//
// Ticks are 1, 2 or 5 times a power of ten apart, in the unit of their labels (400 MiB, 20k); on a
// logarithmic axis they are such numbers themselves.
#pragma once

#include <string>
#include <vector>

namespace rung::monitor {

enum class Unit { kPlain, kCount, kBytes };
enum class Scale { kLinear, kLog };

struct Tick {
  double value = 0.0;
  std::string label;
};

struct Range {
  double low = 0.0;
  double high = 0.0;
};

class Axis {
 public:
  // From tick to tick around `values`; both ends finite, low > 0 where the scale is logarithmic.
  static Axis around(Range values, Unit unit, Scale scale = Scale::kLinear);
  // `range` as it is, with ticks at whole numbers.
  static Axis of_steps(Range range);

  Range range() const { return range_; }
  const std::vector<Tick>& ticks() const { return ticks_; }
  // 0 at the low end, 1 at the high end; a value outside is taken for the nearer end.
  double position(double value) const;

 private:
  Axis() = default;
  void add_linear_ticks(double step, Unit unit);
  void add_log_ticks(Unit unit);

  Scale scale_ = Scale::kLinear;
  Range range_;
  std::vector<Tick> ticks_;
};

// `value` as an axis labels it whose ticks are `step` apart and end at `high`.
std::string tick_label(double value, double step, double high, Unit unit);

}  // namespace rung::monitor
