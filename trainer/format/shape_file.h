// Shapes of models by name, without weights (configs/shapes.yaml).
//
// YAML: a name, and under it the keys of the model's config.json that say something of its shape.
// They are read as config.json is (format/model_config.h), with the same defaults and checks; a key
// that is none of them is an error, because a misspelt one would be a default.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "format/model_config.h"

namespace rung::format {

struct NamedShape {
  std::string name;
  ModelConfig config;
};

// All shapes of the file, in its order. Throws Error: kConfig where the file is absent, or has a
// key or a model that is not known; kDamaged where a value is malformed.
std::vector<NamedShape> read_shapes(const std::filesystem::path& yaml);

// The shape called `name`; throws Error kUsage with all names where there is none.
const NamedShape& find_shape(const std::vector<NamedShape>& shapes, const std::string& name);

}  // namespace rung::format
