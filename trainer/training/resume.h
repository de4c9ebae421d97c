// Where a run starts: anew, from a checkpoint, or not at all because it is finished.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include "base/run_config.h"

namespace rung::training {

// --resume auto | never | DIR
struct ResumeChoice {
  enum class Mode { kAuto, kNever, kFrom };
  Mode mode = Mode::kAuto;
  std::filesystem::path checkpoint;  // kFrom
};

struct StartingPoint {
  bool finished = false;                            // nothing is left to do
  bool discard_previous = false;                    // what an earlier run left is to be removed
  std::optional<std::filesystem::path> checkpoint;  // sound; resume from it
};

// Looks at output_dir. auto: the newest sound checkpoint of a run with the same configuration
// (where things are written and logged aside); damaged ones are named on `log` and passed over.
// never: anew. Throws Error: kConfig naming the keys where output_dir holds a run of another
// configuration, kDamaged where there are checkpoints but no sound one.
StartingPoint find_starting_point(const RunConfig& config, const ResumeChoice& choice,
                                  std::ostream& log);

// Removes adapter, checkpoints, metrics and records of an earlier run: the next resume, or a reader
// of the folder, would take them for this run's. Called once the new run is known to be able to
// start.
void discard_previous_run(const std::filesystem::path& output_dir);

}  // namespace rung::training
