#include "monitor/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace rung::monitor {
namespace {

constexpr double kWantedTicks = 5.0;
// Of a number that is a tick but for rounding.
constexpr double kTolerance = 1e-9;

struct LabelUnit {
  double from;  // used where an axis ends at this or above
  double size;
  std::string_view name;
};

LabelUnit label_unit(double high, Unit unit) {
  constexpr LabelUnit kBytes[] = {{0x1p40, 0x1p40, " TiB"},
                                  {0x1p30, 0x1p30, " GiB"},
                                  {0x1p20, 0x1p20, " MiB"},
                                  {0x1p10, 0x1p10, " KiB"},
                                  {1.0, 1.0, " B"}};
  // 5000 needs no prefix, 10k does.
  constexpr LabelUnit kCounts[] = {{1e9, 1e9, "G"}, {1e6, 1e6, "M"}, {1e4, 1e3, "k"}};
  const auto reached = [&](const LabelUnit& candidate) { return high >= candidate.from; };
  if (unit == Unit::kBytes) {
    if (const auto* found = std::ranges::find_if(kBytes, reached); found != std::end(kBytes))
      return *found;
  }
  if (unit == Unit::kCount) {
    if (const auto* found = std::ranges::find_if(kCounts, reached); found != std::end(kCounts))
      return *found;
  }
  return {.from = 0.0, .size = 1.0, .name = ""};
}

double power_below(double value) { return std::pow(10.0, std::floor(std::log10(value))); }

// The smallest 1, 2, 5 or 10 times a power of ten that is at least `value` > 0.
double round_up(double value) {
  const double power = power_below(value);
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= value * (1.0 - kTolerance)) return digit * power;
  }
  return 10.0 * power;
}

// Likewise the largest that is at most `value`.
double round_down(double value) {
  const double power = power_below(value);
  for (const double digit : {5.0, 2.0}) {
    if (digit * power <= value * (1.0 + kTolerance)) return digit * power;
  }
  return power;
}

double tick_step(Range range, Unit unit) {
  const double size = label_unit(std::max(std::abs(range.low), range.high), unit).size;
  return round_up((range.high - range.low) / size / kWantedTicks) * size;
}

// "1e-5" of 1e-05, "2.5e-5" of 2.5e-05.
std::string scientific(double value) {
  std::string text = fmt::format("{:.1e}", value);
  const size_t exponent = text.find('e');
  const std::string digits = text.substr(0, exponent);
  return fmt::format("{}e{}", digits.ends_with(".0") ? digits.substr(0, digits.size() - 2) : digits,
                     std::stoi(text.substr(exponent + 1)));
}

}  // namespace

std::string tick_label(double value, double step, double high, Unit unit) {
  if (value == 0.0) return "0";
  if (unit == Unit::kPlain && (step < 1e-4 || high >= 1e6)) return scientific(value);
  LabelUnit label = label_unit(high, unit);
  // Neighbouring steps of a long run: 12001, not 12.001k.
  if (unit == Unit::kCount && step < label.size / 100.0) label = label_unit(0.0, unit);
  const int decimals =
      std::max(0, static_cast<int>(std::ceil(-std::log10(step / label.size) - 1e-6)));
  return fmt::format("{:.{}f}{}", value / label.size, std::min(decimals, 6), label.name);
}

Axis Axis::around(Range values, Unit unit, Scale scale) {
  Axis axis;
  axis.scale_ = scale;
  if (scale == Scale::kLog) {
    axis.range_ = {round_down(values.low), round_up(values.high)};
    if (axis.range_.low >= axis.range_.high) axis.range_.high = axis.range_.low * 10.0;
    axis.add_log_ticks(unit);
    return axis;
  }
  if (values.high <= values.low) {
    const double room = values.low == 0.0 ? 1.0 : std::abs(values.low) * 0.1;
    values = {values.low == 0.0 ? 0.0 : values.low - room, values.low + room};
  }
  const double step = tick_step(values, unit);
  axis.range_ = {std::floor(values.low / step + kTolerance) * step,
                 std::ceil(values.high / step - kTolerance) * step};
  axis.add_linear_ticks(step, unit);
  return axis;
}

Axis Axis::of_steps(Range range) {
  Axis axis;
  axis.range_ = range;
  axis.add_linear_ticks(std::max(1.0, tick_step(range, Unit::kCount)), Unit::kCount);
  return axis;
}

void Axis::add_linear_ticks(double step, Unit unit) {
  const double largest = std::max(std::abs(range_.low), std::abs(range_.high));
  const double first = std::ceil(range_.low / step - kTolerance);
  for (double i = first; i * step <= range_.high + step * kTolerance; i += 1.0) {
    ticks_.push_back({i * step, tick_label(i * step, step, largest, unit)});
    if (ticks_.size() > 3 * kWantedTicks) break;  // beyond double's whole numbers
  }
}

void Axis::add_log_ticks(Unit unit) {
  const double decades = std::log10(range_.high / range_.low);
  const double each =
      std::max(1.0, std::ceil(decades / kWantedTicks));  // decades from tick to tick
  for (double exponent = std::floor(std::log10(range_.low)); exponent < 308.0; exponent += each) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double value = digit * std::pow(10.0, exponent);
      if (value > range_.high * (1.0 + kTolerance)) return;
      if (value < range_.low * (1.0 - kTolerance) || (digit != 1.0 && decades > 2.0)) continue;
      const double step = std::pow(10.0, exponent);
      ticks_.push_back({value, tick_label(value, step, value, unit)});
    }
  }
}

double Axis::position(double value) const {
  const double at = scale_ == Scale::kLog
                        ? std::log(value / range_.low) / std::log(range_.high / range_.low)
                        : (value - range_.low) / (range_.high - range_.low);
  return std::isnan(at) ? 0.0 : std::clamp(at, 0.0, 1.0);
}

}  // namespace rung::monitor
