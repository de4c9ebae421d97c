// `rung bench [CONFIG] [--shape NAME] [--json]`: tokens a second and memory of training steps.
#pragma once

namespace rung::command {

// argv[0] is the verb. Returns the exit code; throws Error.
int run_bench(int argc, char** argv);

}  // namespace rung::command
