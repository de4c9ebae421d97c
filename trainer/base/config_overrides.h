// `--set key=value`: changes one place of a configuration tree.
#pragma once

#include <string>

#include "base/config_node.h"
#include "base/config_spellings.h"

namespace rung {

// Applies `override` ("key=value", value in YAML) to `root`, whose keys are canonical. The key may
// be an alias or a dotted path ("datasets.0.path"); the index behind a list's last appends to it.
// `null` restores the default; an empty value is an error. Throws Error kUsage where `override` is
// not of that form.
void apply_override(ConfigNode& root, const std::string& override, SpellingReport report);

}  // namespace rung
