// `rung train CONFIG [--set key=value]... [--resume auto|never|DIR]`: fine-tunes.
#pragma once

namespace rung::command {

// argv[0] is the verb. Returns the exit code; throws Error.
int run_train(int argc, char** argv);

}  // namespace rung::command
