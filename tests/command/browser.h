// Pages as a browser lays them out: headless Chromium, which scripts/bootstrap installs.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/support/temp_dir.h"

namespace rung::testing {

enum class ColourScheme { kLight, kDark };

struct LaidOutPage {
  std::string dom;  // after its scripts ran
  std::string log;  // with what the page's console said
};

// Opens the file `name` of `dir`. A test fails where there is no browser: what is skipped for want
// of one is never seen.
inline LaidOutPage open_in_browser(const TempDir& dir, const std::string& name,
                                   ColourScheme scheme = ColourScheme::kLight) {
  const std::string command = fmt::format(
      "cd '{}' && HOME=$PWD timeout 120 chromium --headless --no-sandbox --disable-gpu "
      "--hide-scrollbars "
      "--disable-dev-shm-usage --no-first-run --user-data-dir=\"$PWD/browser\" "
      "--virtual-time-budget=5000 "
      "--enable-logging=stderr --window-size=1400,2000 --blink-settings=preferredColorScheme={} "
      "--dump-dom \"file://$PWD/{}\" >.dom 2>.log",
      dir.path().string(), scheme == ColourScheme::kDark ? 0 : 1, name);
  const int status = std::system(command.c_str());
  LaidOutPage page{.dom = dir.read(".dom"), .log = dir.read(".log")};
  EXPECT_EQ(status, 0) << "chromium (scripts/bootstrap installs it): " << page.log;
  return page;
}

}  // namespace rung::testing
