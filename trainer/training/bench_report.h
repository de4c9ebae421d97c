// What a bench found, as a table for people and as JSON for programs.
#pragma once

#include <string>

#include "base/json.h"
#include "training/bench.h"

namespace rung::training {

// "llama-3.1-8b/nf4/r16/2x2048/24GiB": model / base / rank / micro-batch x sequence length / limit.
// base is nf4, nf4-double, or the compute dtype of a dense one.
std::string figure_name(const BenchResult& result);

// Ends with a line break; safe for a terminal.
std::string bench_text(const BenchResult& result);

// {"device", "settings", "figures": [{"name", "tokens_per_second", "peak_memory", "tflops",
// "gemm_tflops", ...}]}; bytes and seconds, medians where there is no _min or _max.
Json bench_json(const BenchResult& result);

}  // namespace rung::training
