#include "data/dataset_report.h"

#include <fmt/format.h>

#include "base/units.h"

namespace rung::data {

std::string data_lines(const DatasetReport& report) {
  std::string text =
      fmt::format("data      {}, {}, {} of them learnt\n", format_counted(report.kept, "example"),
                  format_counted(report.tokens, "token"), format_count(report.supervised_tokens));
  if (report.too_long + report.truncated + report.without_labels > 0) {
    text +=
        fmt::format("          {} too long and dropped, {} truncated, {} with nothing to learn\n",
                    format_count(report.too_long), format_count(report.truncated),
                    format_count(report.without_labels));
  }
  return text;
}

Json counts_json(const DatasetReport& report) {
  return {{"read", report.read},
          {"kept", report.kept},
          {"too_long", report.too_long},
          {"truncated", report.truncated},
          {"without_labels", report.without_labels},
          {"tokens", report.tokens},
          {"supervised_tokens", report.supervised_tokens},
          {"longest", report.longest}};
}

}  // namespace rung::data
