// `rung eval CONFIG [--adapter DIR] [--json]`: loss and perplexity over the evaluation data.
#pragma once

namespace rung::command {

// argv[0] is the verb. Returns the exit code; throws Error.
int run_eval(int argc, char** argv);

}  // namespace rung::command
