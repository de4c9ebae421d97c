// The looks at a record that verdict_of puts together, a file each. They know nothing of each
// other; each tells its worst case.
#pragma once

#include <optional>

#include "monitor/verdict.h"

namespace rung::monitor {

// Bytes that stay at the end of a step grow, and nothing in the batches says why.
std::optional<Finding> find_creep(const RunHistory& history);
// Other processes on the device take much more than they did.
std::optional<Finding> find_neighbour(const RunHistory& history);
// Far more is reserved than tensors ever took.
std::optional<Finding> find_fragmentation(const RunHistory& history);
// The peak of a step stands out from those around it.
std::optional<Finding> find_spike(const RunHistory& history);
// Memory ran out, whether the run went on or not.
std::optional<Finding> find_out_of_memory(const RunHistory& history);
// It ended the run.
bool has_ended_for_memory(const RunHistory& history);

}  // namespace rung::monitor
