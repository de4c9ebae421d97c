#include "format/shape_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/config_node.h"
#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace rung::format {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;

// The first six have no default here: what config.json leaves out is seldom meant to be Llama 1's.
constexpr size_t kNumRequired = 6;
constexpr std::array<std::string_view, 20> kKeys = {"model_type",
                                                    "hidden_size",
                                                    "intermediate_size",
                                                    "num_hidden_layers",
                                                    "num_attention_heads",
                                                    "vocab_size",
                                                    "num_key_value_heads",
                                                    "head_dim",
                                                    "tie_word_embeddings",
                                                    "attention_bias",
                                                    "mlp_bias",
                                                    "max_position_embeddings",
                                                    "rms_norm_eps",
                                                    "rope_theta",
                                                    "rope_scaling",
                                                    "rope_parameters",
                                                    "sliding_window",
                                                    "use_sliding_window",
                                                    "max_window_layers",
                                                    "hidden_act"};

Json to_json(const ConfigNode& node) {
  Json json;
  if (node.kind == ConfigNode::Kind::kList) {
    json = Json::array();
    for (const ConfigNode& item : node.items) json.push_back(to_json(item));
  } else if (node.kind == ConfigNode::Kind::kMap) {
    json = Json::object();
    for (const ConfigEntry& entry : node.entries) json[entry.key] = to_json(entry.value);
  } else if (node.is_scalar()) {
    int64_t integer = 0;
    double number = 0.0;
    bool boolean = false;
    if (read_scalar(node, integer)) {
      json = integer;
    } else if (read_scalar(node, number)) {
      json = number;
    } else if (read_scalar(node, boolean)) {
      json = boolean;
    } else {
      json = node.text;
    }
  }
  return json;
}

void check_keys(ConfigEntry& shape, ConfigErrors& errors) {
  if (shape.value.kind != ConfigNode::Kind::kMap) {
    errors.add({.what = fmt::format("the shape {}", shape.key),
                .got = shape.value.quoted(),
                .expected = "keys of a config.json and their values",
                .where = shape.where});
    return;
  }
  for (const ConfigEntry& entry : shape.value.entries) {
    if (std::ranges::find(kKeys, entry.key) != kKeys.end()) continue;
    errors.add({.what = fmt::format("unknown key {} of the shape {}", entry.key, shape.key),
                .expected = fmt::format("{}", fmt::join(kKeys, ", ")),
                .where = entry.where});
  }
  for (size_t i = 0; i < kNumRequired; ++i) {
    if (shape.value.find(kKeys[i]) != nullptr) continue;
    errors.add(
        {.what = fmt::format("the shape {} has no {}", shape.key, kKeys[i]), .where = shape.where});
  }
}

}  // namespace

std::vector<NamedShape> read_shapes(const std::filesystem::path& yaml) {
  ConfigErrors errors;
  ConfigNode root = parse_config_text(read_text_file(yaml, kMaxBytes), yaml.string(),
                                      LineNumbers::kShown, errors);
  if (root.kind != ConfigNode::Kind::kMap || root.entries.empty()) {
    throw Error(ExitCode::kConfig, {.what = "a file of shapes has no shape in it",
                                    .got = root.quoted(),
                                    .expected = "a mapping of names to shapes",
                                    .where = yaml.string()});
  }
  for (ConfigEntry& entry : root.entries) check_keys(entry, errors);
  errors.throw_if_any();
  std::vector<NamedShape> shapes;
  for (const ConfigEntry& entry : root.entries) {
    const std::string where = fmt::format("{}, shape {}", entry.where, entry.key);
    shapes.push_back({entry.key, read_model_config(to_json(entry.value), where)});
  }
  return shapes;
}

const NamedShape& find_shape(const std::vector<NamedShape>& shapes, const std::string& name) {
  const auto found = std::ranges::find(shapes, name, &NamedShape::name);
  if (found != shapes.end()) return *found;
  std::vector<std::string_view> names;
  for (const NamedShape& shape : shapes) names.push_back(shape.name);
  throw Error(ExitCode::kUsage, {.what = "there is no shape of this name",
                                 .got = name,
                                 .expected = fmt::format("one of {}", fmt::join(names, ", "))});
}

}  // namespace rung::format
