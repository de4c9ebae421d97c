// `rung inspect PATH [--json]`: what is in a model folder, adapter, checkpoint, safetensors or GGUF
// file, and is it sound.
#pragma once

namespace rung::command {

// argv[0] is the verb. Returns the exit code; throws Error.
int run_inspect(int argc, char** argv);

}  // namespace rung::command
