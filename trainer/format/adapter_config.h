// The writing half of adapter_config.json, for write_adapter alone.
#pragma once

#include <filesystem>

#include "format/adapter.h"

namespace rung::format {

void write_adapter_config(const std::filesystem::path& dir, const AdapterConfig& config);

}  // namespace rung::format
