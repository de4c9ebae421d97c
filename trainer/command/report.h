// `rung report`: the run of a folder as one HTML page.
#pragma once

#include <filesystem>

namespace rung::command {

int run_report(int argc, char** argv);

// Writes the page of the run in `run_dir` as `file`, atomically. Throws Error where there is no run
// or its record is damaged (monitor/run_history.h), and where the file cannot be written.
void write_report(const std::filesystem::path& run_dir, const std::filesystem::path& file);

}  // namespace rung::command
