#include "format/gguf_rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/error.h"
#include "format/gguf_dequantize.h"
#include "format/gguf_fields.h"

namespace rung::format {

namespace {

constexpr NumberRange kFactorRange = {.above = 0.0, .max = 1e6};

void read_scaling(const GgufFields& fields, const std::string& prefix, RopeConfig& rope) {
  const std::string key = prefix + "scaling.type";
  std::string type = fields.text(key).value_or("none");
  const std::optional<double> old_linear = fields.number(prefix + "scale_linear", kFactorRange);
  if (old_linear && *old_linear != 1.0 && type == "none") {
    rope.kind = RopeKind::kLinear;
    rope.factor = *old_linear;
    return;
  }
  if (type == "none") return;
  if (type != "linear" && type != "yarn") fields.refuse(key, "none, linear or yarn");
  const std::string factor_key = prefix + "scaling.factor";
  const std::optional<double> factor = fields.number(factor_key, kFactorRange);
  if (!factor) fields.damaged(factor_key, "a number, which this scaling type needs");
  rope.kind = type == "linear" ? RopeKind::kLinear : RopeKind::kYarn;
  rope.factor = *factor;
  if (rope.kind == RopeKind::kLinear) return;
  for (const char* name : {"scaling.attn_factor", "scaling.yarn_log_multiplier",
                           "scaling.yarn_ext_factor", "scaling.yarn_attn_factor"}) {
    if (fields.has(prefix + name)) fields.refuse(prefix + name, "yarn with its default attention");
  }
  rope.original_max_position_embeddings = fields.required_integer(
      prefix + "scaling.original_context_length", {.min = 1, .max = int64_t{1} << 31});
  rope.beta_fast = fields.number(prefix + "scaling.yarn_beta_fast", kFactorRange).value_or(32.0);
  rope.beta_slow = fields.number(prefix + "scaling.yarn_beta_slow", kFactorRange).value_or(1.0);
}

// What llama3 scaling divides the frequency of wavelength `wavelength` (in positions) by.
double llama3_factor(const RopeConfig& rope, double wavelength) {
  const auto length = static_cast<double>(rope.original_max_position_embeddings);
  if (wavelength < length / rope.high_freq_factor) return 1.0;
  if (wavelength > length / rope.low_freq_factor) return rope.factor;
  const double smooth =
      (length / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return 1.0 / ((1.0 - smooth) / rope.factor + smooth);
}

void read_factors(const GgufFile& file, int64_t head_dim, RopeConfig& rope) {
  const GgufTensor* tensor = file.find_tensor(kRopeFactorsTensor);
  if (tensor == nullptr) return;
  const auto refuse = [&](const std::string& what) {
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("tensor {}: {}", kRopeFactorsTensor, what),
                 .hint = "import a model with default, linear, llama3 or yarn scaling",
                 .where = file.path().string()});
  };
  if (tensor->type != GgmlType::kF32 || tensor->shape != std::vector<int64_t>{head_dim / 2}) {
    refuse(fmt::format("expected {} values of type F32", head_dim / 2));
  }
  if (rope.kind != RopeKind::kDefault) refuse("rope scaling of two kinds at once");
  std::vector<float> factors(static_cast<size_t>(head_dim / 2));
  file.read(*tensor, 0, std::as_writable_bytes(std::span(factors)));

  const double largest = *std::max_element(factors.begin(), factors.end());
  const double smallest = *std::min_element(factors.begin(), factors.end());
  if (smallest == 1.0 && largest == 1.0) return;
  rope.kind = RopeKind::kLlama3;
  rope.factor = largest;
  rope.low_freq_factor = 1.0;
  rope.high_freq_factor = 4.0;
  rope.original_max_position_embeddings = 8192;
  for (size_t i = 0; i < factors.size(); ++i) {
    const double exponent = static_cast<double>(2 * i) / static_cast<double>(head_dim);
    const double wavelength = 2.0 * std::numbers::pi * std::pow(rope.theta, exponent);
    const double expected = llama3_factor(rope, wavelength);
    if (std::abs(factors[i] - expected) <= 1e-4 * expected) continue;  // the converter used float
    refuse("the factors are not those of Llama 3's scaling");
  }
}

}  // namespace

RopeConfig read_gguf_rope(const GgufFile& file, const std::string& arch, int64_t head_dim) {
  const GgufFields fields(file);
  const std::string prefix = arch + ".rope.";
  RopeConfig rope;
  rope.theta =
      fields.number(prefix + "freq_base", {.above = 1.0, .max = 1e12}).value_or(rope.theta);
  const std::string dimensions = prefix + "dimension_count";
  const std::optional<int64_t> rotated =
      fields.uniform_integer(dimensions, {.min = 1, .max = int64_t{1} << 14});
  if (rotated && *rotated != head_dim) {
    fields.refuse(dimensions, fmt::format("{}, the whole head", head_dim));
  }
  read_scaling(fields, prefix, rope);
  read_factors(file, head_dim, rope);
  return rope;
}

}  // namespace rung::format
