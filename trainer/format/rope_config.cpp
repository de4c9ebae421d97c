#include "format/rope_config.h"

#include <optional>
#include <string>

namespace rung::format {

namespace {

constexpr NumberRange kFactorRange = {.above = 0.0, .max = 1e6};

// The object with the parameters: rope_scaling where it says anything, else rope_parameters, which
// may be wrapped once in the one layer type that the supported families have.
std::optional<JsonFields> find_parameters(const JsonFields& config) {
  if (std::optional<JsonFields> scaling = config.object("rope_scaling")) return scaling;
  const std::optional<JsonFields> parameters = config.object("rope_parameters");
  if (!parameters) return std::nullopt;
  if (parameters->has("sliding_attention")) {
    config.refuse("rope_parameters", "the same parameters for all layers");
  }
  const std::optional<JsonFields> wrapped = parameters->object("full_attention");
  return wrapped ? wrapped : parameters;
}

RopeKind read_kind(const JsonFields& parameters) {
  const std::string_view key = parameters.has("rope_type") ? "rope_type" : "type";
  const std::string name = parameters.text(key).value_or("default");
  if (name == "default") return RopeKind::kDefault;
  if (name == "linear") return RopeKind::kLinear;
  if (name == "llama3") return RopeKind::kLlama3;
  if (name == "yarn") return RopeKind::kYarn;
  parameters.refuse(key, "default, linear, llama3 or yarn");
}

double required_number(const JsonFields& parameters, std::string_view key, NumberRange range) {
  const std::optional<double> value = parameters.number(key, range);
  if (!value) parameters.damaged(key, "a number, which this rope type needs");
  return *value;
}

void read_llama3(const JsonFields& parameters, RopeConfig& rope) {
  rope.factor = required_number(parameters, "factor", kFactorRange);
  rope.low_freq_factor = required_number(parameters, "low_freq_factor", kFactorRange);
  rope.high_freq_factor = required_number(parameters, "high_freq_factor", kFactorRange);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    parameters.damaged("high_freq_factor", "more than low_freq_factor");
  }
}

void read_yarn(const JsonFields& parameters, int64_t max_position_embeddings, RopeConfig& rope) {
  if (!parameters.contains("factor")) parameters.damaged("factor", "a number or null");
  const double ratio = static_cast<double>(max_position_embeddings) /
                       static_cast<double>(rope.original_max_position_embeddings);
  rope.factor = parameters.number("factor", kFactorRange).value_or(ratio);
  rope.beta_fast = parameters.number("beta_fast", kFactorRange).value_or(rope.beta_fast);
  rope.beta_slow = parameters.number("beta_slow", kFactorRange).value_or(rope.beta_slow);
  rope.attention_factor = parameters.number("attention_factor", kFactorRange);
  rope.truncate = parameters.boolean("truncate").value_or(true);
  // transformers takes 0 for "not given".
  const auto mscale = [&](std::string_view key) -> std::optional<double> {
    const Json* value = parameters.find(key);
    if (value != nullptr && *value == 0.0) return std::nullopt;
    return parameters.number(key, kFactorRange);
  };
  rope.mscale = mscale("mscale");
  rope.mscale_all_dim = mscale("mscale_all_dim");
}

// The trained length: a key of its own beside the parameters wins, else theirs, else the maximum.
int64_t read_original_length(const JsonFields& config, const JsonFields& parameters,
                             int64_t max_position_embeddings) {
  constexpr std::string_view kKey = "original_max_position_embeddings";
  constexpr IntegerRange kRange = {.min = 1, .max = int64_t{1} << 31};
  if (const std::optional<int64_t> outer = config.integer(kKey, kRange)) return *outer;
  return parameters.integer(kKey, kRange).value_or(max_position_embeddings);
}

void refuse_partial_rotary(const JsonFields& fields) {
  const std::string_view key = "partial_rotary_factor";
  const Json* factor = fields.find(key);
  if (factor != nullptr && *factor != 1.0) fields.refuse(key, "1");
}

}  // namespace

RopeConfig read_rope_config(const JsonFields& config, int64_t max_position_embeddings) {
  constexpr NumberRange kThetaRange = {.above = 1.0, .max = 1e12};
  RopeConfig rope;
  rope.theta = config.number("rope_theta", kThetaRange).value_or(rope.theta);
  refuse_partial_rotary(config);
  const std::optional<JsonFields> parameters = find_parameters(config);
  if (!parameters) return rope;

  refuse_partial_rotary(*parameters);
  rope.theta = parameters->number("rope_theta", kThetaRange).value_or(rope.theta);
  rope.kind = read_kind(*parameters);
  switch (rope.kind) {
    case RopeKind::kDefault:
      break;
    case RopeKind::kLinear:
      rope.factor = required_number(*parameters, "factor", kFactorRange);
      break;
    case RopeKind::kLlama3:
      rope.original_max_position_embeddings =
          read_original_length(config, *parameters, max_position_embeddings);
      read_llama3(*parameters, rope);
      break;
    case RopeKind::kYarn:
      rope.original_max_position_embeddings =
          read_original_length(config, *parameters, max_position_embeddings);
      read_yarn(*parameters, max_position_embeddings, rope);
      break;
  }
  return rope;
}

}  // namespace rung::format
