// The report of a run: one HTML page that holds everything it shows, for a browser or a printer.
//
// No script, no font and nothing else from elsewhere (the page forbids both by itself), light or
// dark as the reader has it. Text of files is escaped. A run that is not finished, has one step or
// none, or lacks keys that other versions write has a page too, of what there is. Its size is
// bounded: long runs are drawn at the detail that can be seen.
#pragma once

#include <string>

#include "monitor/run_history.h"

namespace rung::monitor {

// title: what the page is headed with, the name of the run.
std::string report_html(const RunHistory& history, const std::string& title);

}  // namespace rung::monitor
