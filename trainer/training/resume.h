// Where a run starts: anew, from a checkpoint, or not at all because it is finished.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

#include "base/run_config.h"
#include "training/run_inputs.h"

namespace rung::training {

// --resume auto | never | DIR
struct ResumeChoice {
  enum class Mode { kAuto, kNever, kFrom };
  Mode mode = Mode::kAuto;
  std::filesystem::path checkpoint;  // kFrom
};

struct StartingPoint {
  enum class Previous {
    kGoesOn,   // the run in output_dir, if any, goes on
    kRepeats,  // likewise, but what it did after `checkpoint` is done again
    kDiscard,  // what an earlier run left is to be removed
  };
  bool finished = false;                            // nothing is left to do
  std::optional<std::filesystem::path> checkpoint;  // sound, of the same run; resume from it
  Previous previous = Previous::kGoesOn;
  std::optional<InputHashes> inputs;  // of what the run reads, where they had to be compared
};

// Looks at output_dir, and at the checkpoint where one is named.
//
// auto: the newest sound checkpoint of output_dir; damaged ones are named on `log` and passed over.
//
// a checkpoint: that one. never: anew.
//
// Whatever is resumed, and a run that output_dir holds, must be the same run: the same
// configuration (where things are written and logged, and paths, aside) over the same inputs
// (training/run_inputs.h). Throws Error: kConfig naming the keys and inputs that differ, kDamaged
// where there are checkpoints but no sound one.
StartingPoint find_starting_point(const RunConfig& config, const ResumeChoice& choice,
                                  std::ostream& log);

}  // namespace rung::training
