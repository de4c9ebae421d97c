// `rung merge MODEL --adapter DIR --out DIR [--base full|nf4] [--dtype bf16|fp16|fp32]`: a model
// folder with the adapter added in.
#pragma once

namespace rung::command {

// argv[0] is the verb. Returns the exit code; throws Error.
int run_merge(int argc, char** argv);

}  // namespace rung::command
