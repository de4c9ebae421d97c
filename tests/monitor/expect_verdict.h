// Expectations of a verdict, which print all of it where they fail.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "monitor/verdict.h"

namespace rung::testing {

inline std::vector<monitor::Kind> kinds_of(const monitor::Verdict& verdict) {
  std::vector<monitor::Kind> kinds;
  for (const monitor::Finding& finding : verdict.findings) kinds.push_back(finding.kind);
  return kinds;
}

inline std::string text_of(const monitor::Verdict& verdict) {
  std::string text = std::string(monitor::name_of(verdict.kind)) + ": " + verdict.evidence + "\n";
  for (const monitor::Finding& finding : verdict.findings) {
    text += "  " + std::string(monitor::name_of(finding.kind)) + ": " + finding.evidence + "\n";
  }
  return text;
}

// The verdict is `kind`, its only finding, and every one of `words` is in its evidence.
inline void expect_only(const monitor::RunHistory& history, monitor::Kind kind,
                        const std::vector<std::string>& words) {
  const monitor::Verdict verdict = monitor::verdict_of(history);
  EXPECT_EQ(verdict.kind, kind) << text_of(verdict);
  const std::vector<monitor::Kind> expected =
      kind == monitor::Kind::kHealthy || kind == monitor::Kind::kUnknown
          ? std::vector<monitor::Kind>()
          : std::vector{kind};
  EXPECT_EQ(kinds_of(verdict), expected) << text_of(verdict);
  for (const std::string& word : words) {
    EXPECT_NE(verdict.evidence.find(word), std::string::npos) << word << "\n" << text_of(verdict);
  }
  for (const monitor::Finding& finding : verdict.findings) EXPECT_NE(finding.advice, "");
}

inline void expect_healthy(const monitor::RunHistory& history) {
  expect_only(history, monitor::Kind::kHealthy, {});
}

}  // namespace rung::testing
