// What is the matter with the memory of a run, from its record alone.
//
// Each look at the record answers with a finding, or with nothing; the most harmful one is the
// verdict. Where memory ran out, what explains it comes before the fact itself.
// docs/guide/monitor.md says what each means and what to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "monitor/run_history.h"

namespace rung::monitor {

// In the order in which findings of like harm are told: a cause before what came of it.
enum class Kind { kCreep, kNeighbour, kFragmentation, kSpike, kOutOfMemory, kHealthy, kUnknown };
std::string_view name_of(Kind kind);  // "creep", "out_of_memory", ...

enum class Harm {
  kNone,     // it can be seen in the figures
  kThreat,   // it is on the way to the limit
  kSuffered  // memory ran out because of it
};
std::string_view name_of(Harm harm);  // "none", "threat", "suffered"

// When something took memory that was short later, and how much.
struct Cause {
  const Start* process = nullptr;  // in which; null in records that do not say
  int64_t first_step = 0;
  int64_t last_step = 0;        // in which it was still there
  double bytes = 0.0;           // in the first of these,
  double bytes_per_step = 0.0;  // and more in each that follows
};

struct Finding {
  Kind kind = Kind::kUnknown;
  Harm harm = Harm::kNone;
  std::optional<Cause> cause;     // where memory may run out because of it
  int64_t step = 0;               // in which it begins to show
  std::string evidence;           // one sentence, with figures
  std::string advice;             // one sentence: the key to change, or what else to do
  Json figures = Json::object();  // of the evidence, in bytes and tokens
};

struct Verdict {
  Kind kind = Kind::kUnknown;     // of the first finding; healthy where there is none
  std::string evidence;           // likewise
  std::vector<Finding> findings;  // the most harmful one first
};

Verdict verdict_of(const RunHistory& history);

}  // namespace rung::monitor
