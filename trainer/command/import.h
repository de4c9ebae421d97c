// `rung import FILE.gguf OUT_DIR [--dtype bf16|fp16|fp32]`: a GGUF file as a Hugging Face model
// folder.
#pragma once

namespace rung::command {

// argv[0] is the verb. Returns the exit code; throws Error.
int run_import(int argc, char** argv);

}  // namespace rung::command
