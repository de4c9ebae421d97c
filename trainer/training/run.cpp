#include "training/run.h"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <utility>

#include "base/config.h"
#include "base/error.h"
#include "base/publish.h"
#include "job/stop_signal.h"
#include "training/output_folder.h"
#include "training/recording.h"
#include "training/setup.h"
#include "training/training_run.h"

namespace rung::training {
namespace {

// An error of the folder names the key that chose it.
DirLock lock_output_dir(const std::filesystem::path& output_dir) {
  try {
    return DirLock(output_dir);
  } catch (const Error& error) {
    ErrorParts parts = error.parts();
    if (!parts.hint.empty()) throw;
    parts.what = "output_dir cannot be used: " + parts.what;
    parts.hint = "choose another output_dir";
    throw Error(error.code(), std::move(parts));
  }
}

}  // namespace

ExitCode train(const TrainRequest& request, std::ostream& log) {
  RunConfig config = with_starting_adapter(request.config, request.explicit_keys);
  for (const std::string& note : request.notes) {
    fmt::print(log, "note: {}\n", escape_for_terminal(note));
  }
  check_output_dir(config);
  const DirLock lock = lock_output_dir(config.output_dir);
  const job::StopSignal stop_signal;  // loading may take minutes; a stop in it counts too
  remove_partials(config.output_dir);
  remove_partials(config.output_dir / "checkpoints");
  const StartingPoint start = find_starting_point(config, request.resume, log);
  if (start.finished) {
    fmt::print(log, "finished already: the adapter is in {} (--resume never trains anew)\n",
               escape_for_terminal(config.output_dir.string()));
    return ExitCode::kOk;
  }
  const Machine machine = open_machine(config);
  config = with_device(std::move(config), machine);
  RunRecord record{.memory_limit = machine.limit, .config = dump_resolved_yaml(config)};
  record.is_earlier_run_there = start.previous == StartingPoint::Previous::kDiscard &&
                                std::filesystem::exists(config.output_dir / "run.json");
  PhasePeaks peaks(machine.device.counter(), "load");
  return recorded({config.output_dir, record, peaks, log}, [&] {
    TrainingRun run(config, start, machine, {peaks, record, log});
    return run.run();
  });
}

}  // namespace rung::training
