#include "format/shape_file.h"

#include <fmt/format.h>

#include <array>
#include <string_view>

#include "base/config_node.h"
#include "base/json.h"
#include "base/named_table.h"

namespace rung::format {
namespace {

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
  if (!check_table_entry(shape, "the shape " + shape.key, "keys of a config.json and their values",
                         kKeys, errors)) {
    return;
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
  ConfigNode root = read_named_table(yaml, "a file of shapes has no shape in it",
                                     "a mapping of names to shapes", errors);
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
  return find_named(shapes, name, "there is no shape of this name");
}

}  // namespace rung::format
