// A chart of curves over training steps as an SVG element, for an HTML page.
//
// The element is as wide as what holds it, and its area is the plot. Labels stand outside of it, so
// the holder leaves room on all sides. Lengths along the steps are percentages, heights are pixels,
// and curves lie in an inner coordinate system that is stretched: so text and marks keep their size
// at every width, without a script. Colours come from CSS classes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "monitor/axis.h"
#include "monitor/decimate.h"

namespace rung::monitor {

struct Line {
  std::string css_class;
  std::vector<Point> points;
};

// Of one step: the parts that are stacked, from the bottom, and a whole that is drawn as a line.
struct StackSample {
  double x = 0.0;
  std::vector<double> parts;
  double whole = 0.0;
};

struct Stack {
  std::vector<std::string> part_classes;
  std::string whole_class;
  std::vector<StackSample> samples;  // in rising order of x
};

struct Mark {
  Point at;
  std::string title;  // shown where the pointer rests on it
};

struct MarkSet {
  std::string css_class;
  std::vector<Mark> marks;  // in rising order of x
};

// A vertical line with a label above the plot.
struct EventLine {
  double x = 0.0;
  int number = 0;         // by which a table has it
  std::string css_class;  // of its kind
  std::string word;       // left out where there is no room
  std::string title;
};

// What is read where the pointer rests on a part of the plot.
struct Strip {
  double low = 0.0;
  double high = 0.0;
  std::string title;
};

struct Chart {
  std::string css_class;    // says which chart it is
  std::string description;  // for those who do not see it
  int height = 220;         // pixels, of the plot
  size_t columns = 600;     // the finest detail along the steps
  Range steps;              // low < high
  Unit unit = Unit::kPlain;
  bool from_zero = false;
  bool log_if_wide = false;  // a logarithmic axis where values differ by more than a factor of 100
  Stack stack;
  std::vector<Line> lines;
  std::vector<MarkSet> marks;
  std::vector<EventLine> events;  // in rising order of x
  std::vector<double> faults;     // steps to be marked at the foot of the plot, in rising order
  std::vector<Strip> strips;
};

// Whether there is a finite value in it.
bool has_values(const Chart& chart);

// The element; of a chart without values an empty plot.
std::string svg_chart(const Chart& chart);

}  // namespace rung::monitor
