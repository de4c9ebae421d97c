// `rung generate MODEL [--adapter DIR] (--prompt TEXT | --chat FILE | --batch FILE) ...`: answers a
// prompt.
#pragma once

namespace rung::command {

// argv[0] is the verb. Returns the exit code; throws Error.
int run_generate(int argc, char** argv);

}  // namespace rung::command
