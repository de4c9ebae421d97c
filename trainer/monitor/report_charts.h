// The charts of a report: memory, loss, speed, learning rate and gradient norm by step.
#pragma once

#include <string>
#include <vector>

#include "monitor/report_figures.h"
#include "monitor/run_history.h"
#include "monitor/svg_chart.h"

namespace rung::monitor {

struct LegendEntry {
  enum class Sample { kLine, kDash, kDot, kEvent, kArea };
  Sample sample = Sample::kLine;
  std::string css_class;
  std::string text;
};

struct ChartFigure {
  std::string heading;
  std::vector<LegendEntry> legend;
  Chart chart;
};

// Of a run with at least one step, as all of these.
ChartFigure memory_figure(const RunHistory& history, const RunFigures& figures);
ChartFigure loss_figure(const RunHistory& history, const RunFigures& figures);
ChartFigure speed_figure(const RunHistory& history, const RunFigures& figures);
ChartFigure learning_rate_figure(const RunHistory& history, const RunFigures& figures);
ChartFigure gradient_norm_figure(const RunHistory& history, const RunFigures& figures);

// "3 rung: 12 of 30 blocks recomputed ..., after step 212: reason", as shown over an event's line.
std::string event_text(const RunEvent& event);

}  // namespace rung::monitor
