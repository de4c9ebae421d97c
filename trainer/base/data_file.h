// Data files that come with the program (the folder configs/ of the source tree).
//
// They lie in share/rung: beside the program in a build folder, where CMake links them, so that an
// edit is seen at once; in ../share/rung in an installed tree, which may be moved.
#pragma once

#include <filesystem>
#include <string>

namespace rung {

// Where the data file `name` ("shapes.yaml") lies. Throws Error kConfig, with both places, where it
// is in neither.
std::filesystem::path find_data_file(const std::string& name);

}  // namespace rung
