// `rung data CONFIG [--show N] [--json] [--set key=value]...`: what the model will see.
//
// Reads every record of the configuration's data sets as training would, so that whatever training
// would refuse is refused here. Loads the tokenizer and config.json of the model, no weights.
#pragma once

namespace rung::command {

// argv[0] is the verb. Returns the exit code; throws Error.
int run_data(int argc, char** argv);

}  // namespace rung::command
