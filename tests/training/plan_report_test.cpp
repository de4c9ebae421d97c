#include "training/plan_report.h"

#include <gtest/gtest.h>

#include <string>

namespace rung::training {
namespace {

PlanReport report_of(std::initializer_list<double> gib) {
  PlanReport report{.device = "CPU"};
  for (const double peak : gib) {
    report.rungs.push_back({.name = "a rung", .peak = static_cast<int64_t>(peak * 0x1p30)});
  }
  return report;
}

TEST(PlanText, TellsRungsApartThatDifferByLittle) {
  const std::string text = plan_text(report_of({2.04, 2.01, 12.04, 0.5}));
  for (const char* peak : {" 2.04 GiB", " 2.01 GiB", " 12.0 GiB", " 512.0 MiB"}) {
    EXPECT_NE(text.find(peak), std::string::npos) << peak << text;
  }
}

}  // namespace
}  // namespace rung::training
