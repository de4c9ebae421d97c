#include "model/rope_table.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace rung::model {
namespace {

using format::RopeConfig;
using format::RopeKind;

// What angle per position each pair of features turns by, and the factor on cos and sin.
struct Frequencies {
  std::vector<double> per_position;  // [head_dim / 2] radians
  double scale = 1.0;
};

std::vector<double> plain_frequencies(double theta, int64_t head_dim) {
  std::vector<double> result(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
  }
  return result;
}

double llama3_frequency(double frequency, const RopeConfig& rope) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  if (wavelength < original / rope.high_freq_factor) return frequency;
  if (wavelength > original / rope.low_freq_factor) return frequency / rope.factor;
  const double smooth = (original / wavelength - rope.low_freq_factor) /
                        (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - smooth) * frequency / rope.factor + smooth * frequency;
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

double yarn_attention_factor(const RopeConfig& rope) {
  if (rope.attention_factor) return *rope.attention_factor;
  if (rope.mscale && rope.mscale_all_dim) {
    return yarn_mscale(rope.factor, *rope.mscale) / yarn_mscale(rope.factor, *rope.mscale_all_dim);
  }
  return yarn_mscale(rope.factor, 1.0);
}

// The feature pair that makes `rotations` turns over the original context.
double yarn_correction_dim(double rotations, const RopeConfig& rope, int64_t head_dim) {
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  return static_cast<double>(head_dim) * std::log(original / (rotations * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rope.theta));
}

Frequencies yarn_frequencies(const RopeConfig& rope, int64_t head_dim) {
  double low = yarn_correction_dim(rope.beta_fast, rope, head_dim);
  double high = yarn_correction_dim(rope.beta_slow, rope, head_dim);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(head_dim - 1));
  if (low == high) high += 0.001;  // as the source does, against a division by zero
  Frequencies result{plain_frequencies(rope.theta, head_dim), yarn_attention_factor(rope)};
  for (size_t i = 0; i < result.per_position.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double frequency = result.per_position[i];
    result.per_position[i] = frequency / rope.factor * ramp + frequency * (1.0 - ramp);
  }
  return result;
}

Frequencies frequencies_of(const RopeConfig& rope, int64_t head_dim) {
  if (rope.kind == RopeKind::kYarn) return yarn_frequencies(rope, head_dim);
  Frequencies result{plain_frequencies(rope.theta, head_dim)};
  for (double& frequency : result.per_position) {
    if (rope.kind == RopeKind::kLinear) frequency /= rope.factor;
    if (rope.kind == RopeKind::kLlama3) frequency = llama3_frequency(frequency, rope);
  }
  return result;
}

}  // namespace

ops::RopeTable make_rope_table(const RopeConfig& rope, int64_t head_dim, int64_t positions,
                               c10::Device device) {
  const auto make = [&](c10::Device where) {
    const auto floats = at::TensorOptions(where).dtype(c10::kFloat);
    return ops::RopeTable{at::empty({positions, head_dim / 2}, floats),
                          at::empty({positions, head_dim / 2}, floats)};
  };
  if (device.is_meta()) return make(device);
  const ops::RopeTable table = make(c10::kCPU);
  const Frequencies frequencies = frequencies_of(rope, head_dim);
  float* cos = table.cos.data_ptr<float>();
  float* sin = table.sin.data_ptr<float>();
  for (int64_t position = 0; position < positions; ++position) {
    for (const double frequency : frequencies.per_position) {
      // The angle is rounded to float first, as the source computes it in float.
      const float angle = static_cast<float>(position) * static_cast<float>(frequency);
      *cos++ = static_cast<float>(std::cos(static_cast<double>(angle)) * frequencies.scale);
      *sin++ = static_cast<float>(std::sin(static_cast<double>(angle)) * frequencies.scale);
    }
  }
  if (device.is_cpu()) return table;
  return {table.cos.to(device), table.sin.to(device)};
}

}  // namespace rung::model
