// `rung monitor [RUN_DIR] [--once] [--json]`: a run, live or afterwards: memory, GPU, verdict.
#pragma once

namespace rung::command {

int run_monitor(int argc, char** argv);

}  // namespace rung::command
