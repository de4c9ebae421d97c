#include "base/data_file.h"

#include <fmt/format.h>

#include <system_error>

#include "base/error.h"

namespace rung {

namespace fs = std::filesystem;

fs::path find_data_file(const std::string& name) {
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path built = program.parent_path() / "share/rung" / name;
  const fs::path installed = program.parent_path().parent_path() / "share/rung" / name;
  for (const fs::path& path : {built, installed}) {
    if (fs::exists(path, ignored)) return path;
  }
  throw Error(ExitCode::kConfig,
              {.what = fmt::format("{}, which comes with the program, is absent", name),
               .expected = fmt::format("{} or {}", built.string(), installed.string()),
               .hint = "install the program anew"});
}

}  // namespace rung
