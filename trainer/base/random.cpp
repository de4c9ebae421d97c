#include "base/random.h"

#include <cmath>
#include <numeric>
#include <utility>

namespace rung {
namespace {

constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15u;  // 2^64 / phi, odd
constexpr uint64_t kShuffleStream = 0x73687566666c6521u;

double to_unit(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

// Natural logarithm of x in (0, 1] to some 1e-15 relative. libm's differs between machines in the
// last bit; this takes only operations that do not: ln x = e ln 2 + 2 artanh((m - 1) / (m + 1)).
double portable_log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // exact, in [0.5, 1)
  if (mantissa < 0.70710678118654752) {        // keeps |s| below 0.172
    mantissa *= 2;
    --exponent;
  }
  const double s = (mantissa - 1) / (mantissa + 1);
  const double s2 = s * s;
  double series = 0;
  for (int n = 21; n >= 1; n -= 2) series = series * s2 + 1.0 / n;
  return exponent * 0.69314718055994531 + 2 * s * series;
}

}  // namespace

uint64_t stream_of(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mix64(hash);
}

CounterRandom::CounterRandom(uint64_t seed, uint64_t stream)
    : start_(mix64(mix64(seed + kGoldenRatio) ^ mix64(stream + 2 * kGoldenRatio))) {}

uint64_t CounterRandom::bits(uint64_t counter) const {
  return mix64(start_ + (counter + 1) * kGoldenRatio);
}

double CounterRandom::uniform(uint64_t counter) const { return to_unit(bits(counter)); }

uint64_t CounterRandom::below(uint64_t counter, uint64_t bound) const {
  // High half of the product; its bias, bound / 2^64, is beyond measure.
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits(counter)) * bound) >> 64);
}

double CounterRandom::normal(uint64_t counter) const {
  // Marsaglia's polar method: a point in the unit disc, drawn from a stream of this counter's own
  // until one falls inside (1.27 draws on average).
  const uint64_t start = mix64(bits(counter) ^ kGoldenRatio);
  for (uint64_t draw = 1;; draw += 2) {
    const double x = 2 * to_unit(mix64(start + draw * kGoldenRatio)) - 1;
    const double y = 2 * to_unit(mix64(start + (draw + 1) * kGoldenRatio)) - 1;
    const double square = x * x + y * y;
    if (square > 0 && square < 1) return x * std::sqrt(-2 * portable_log(square) / square);
  }
}

void CounterRandom::fill_near_normal(uint64_t first, const Spread& spread,
                                     std::span<float> out) const {
  constexpr double kMeanOfSum = 2.0 * 65535;             // of four numbers in 0 .. 65535
  constexpr double kDeviationOfSum = 37837.22723720648;  // sqrt(4 (65536^2 - 1) / 12)
  const auto scale = static_cast<float>(spread.deviation / kDeviationOfSum);
  const auto offset =
      static_cast<float>(spread.mean - kMeanOfSum * spread.deviation / kDeviationOfSum);
  uint64_t state = start_ + first * kGoldenRatio;
  for (float& value : out) {
    state += kGoldenRatio;
    const uint64_t drawn = mix64(state);
    const uint64_t sum =
        (drawn & 0xffff) + ((drawn >> 16) & 0xffff) + ((drawn >> 32) & 0xffff) + (drawn >> 48);
    value = static_cast<float>(static_cast<int32_t>(sum)) * scale + offset;
  }
}

std::vector<int64_t> shuffled_indices(int64_t count, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> indices(static_cast<size_t>(count));
  std::iota(indices.begin(), indices.end(), int64_t{0});
  const CounterRandom random(seed, kShuffleStream + static_cast<uint64_t>(epoch));
  for (size_t i = indices.size(); i > 1; --i) {
    std::swap(indices[i - 1], indices[random.below(i, i)]);
  }
  return indices;
}

}  // namespace rung
