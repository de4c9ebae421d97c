// Rules that join several keys of a configuration.
#pragma once

#include "base/config.h"
#include "base/config_node.h"

namespace rung {

// Adds contradictions to `errors` and settles what one key implies for another, with a note where
// that is not what the file says. `root` (canonical keys) gives the places of the messages.
void check_run_config(ConfigNode& root, LoadedConfig& loaded, ConfigErrors& errors);

}  // namespace rung
