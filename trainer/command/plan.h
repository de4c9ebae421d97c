// `rung plan CONFIG [--gpu NAME | --all-gpus] [--json]`: memory, ladder, time and cost before the
// start.
#pragma once

namespace rung::command {

int run_plan(int argc, char** argv);

}  // namespace rung::command
