#include "training/does_not_fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <vector>

#include "base/data_file.h"
#include "base/error.h"
#include "base/units.h"
#include "fit/gpu_table.h"
#include "training/gpu_limit.h"

namespace rung::training {
namespace {

constexpr int64_t kShortestAdvised = 32;  // tokens of sequence_len; hardly anything fits into less
constexpr int64_t kAdvisedStep = 16;      // advised lengths are round

// What a change may change.
struct Variant {
  RunConfig config;
  model::AdapterOptions adapter;
};

struct Change {
  std::string name;  // as a message has it
  std::function<void(Variant&)> apply;
};

// A change and what the step takes with it.
struct Remedy {
  Change change;
  int64_t peak = 0;  // bytes
};

int64_t longest_row(const PlanRequest& request) {
  return request.config.sample_packing ? request.config.sequence_len : request.examples.longest();
}

void add_batch_changes(const PlanRequest& request, std::vector<Change>& changes) {
  const RunConfig& config = request.config;
  const int64_t micro_batch = config.micro_batch_size;
  if (micro_batch > 1) {
    changes.push_back({fmt::format("micro_batch_size: 1 with gradient_accumulation_steps: {}",
                                   micro_batch * config.gradient_accumulation_steps),
                       [](Variant& v) { v.config.micro_batch_size = 1; }});
  }
  const int64_t shorter = longest_row(request) / 2 / kAdvisedStep * kAdvisedStep;
  if (shorter >= kShortestAdvised) {
    changes.push_back({fmt::format("sequence_len: {}", shorter),
                       [shorter](Variant& v) { v.config.sequence_len = shorter; }});
  }
}

void add_model_changes(const PlanRequest& request, std::vector<Change>& changes) {
  const RunConfig& config = request.config;
  if (!config.load_in_4bit) {
    changes.push_back({"adapter: qlora", [](Variant& v) {
                         v.config.adapter = AdapterKind::kQlora;
                         v.config.load_in_4bit = true;
                       }});
  } else if (!config.bnb_4bit_use_double_quant && !request.model.bnb) {
    changes.push_back({"bnb_4bit_use_double_quant: true",
                       [](Variant& v) { v.config.bnb_4bit_use_double_quant = true; }});
  }
  if (config.compute_dtype == ComputeDtype::kFp32) {
    changes.push_back(
        {"compute_dtype: bf16", [](Variant& v) { v.config.compute_dtype = ComputeDtype::kBf16; }});
  }
  if (config.optimizer == "adamw_torch") {
    changes.push_back(
        {"optimizer: adamw_8bit", [](Variant& v) { v.config.optimizer = "adamw_8bit"; }});
  }
  // The rank of an adapter that is gone on from is what it is.
  if (config.lora_model_dir.empty() && request.adapter.r > 1) {
    const int64_t rank = request.adapter.r / 2;
    changes.push_back({fmt::format("lora_r: {}", rank), [rank](Variant& v) {
                         v.config.lora_r = rank;
                         v.adapter.r = rank;
                       }});
  }
}

void add_offloading_changes(const PlanRequest& request, std::vector<Change>& changes) {
  const RunConfig& config = request.config;
  if (!config.layer_offloading && config.load_in_4bit) {
    changes.push_back(
        {"layer_offloading: true", [](Variant& v) { v.config.layer_offloading = true; }});
  }
  if (!config.embedding_offloading && !request.model.tie_word_embeddings) {
    changes.push_back(
        {"embedding_offloading: true", [](Variant& v) { v.config.embedding_offloading = true; }});
  }
}

std::vector<Change> possible_changes(const PlanRequest& request) {
  std::vector<Change> changes;
  if (request.config.gradient_checkpointing.mode != Recompute::Mode::kAuto) {
    changes.push_back(
        {"gradient_checkpointing: auto", [](Variant& v) { v.config.gradient_checkpointing = {}; }});
  }
  if (request.config.fit == "off") {
    changes.push_back({"fit: auto", [](Variant& v) { v.config.fit = "auto"; }});
  }
  add_batch_changes(request, changes);
  add_model_changes(request, changes);
  if (request.device == c10::kCUDA) add_offloading_changes(request, changes);
  return changes;
}

// A sequence_len below the examples' lengths stands for shorter data. What is learnt of them sizes
// nothing here.
std::vector<data::ExampleSize> shortened(const data::ExampleSizes& examples, int64_t sequence_len) {
  std::vector<data::ExampleSize> sizes;
  for (const int64_t length : examples.lengths()) {
    sizes.push_back({.num_tokens = static_cast<int32_t>(std::min(length, sequence_len))});
  }
  return sizes;
}

// What the largest step takes on the last rung of its ladder, and an evaluation one example at a
// time.
int64_t peak_of(const PlanRequest& request, const Variant& variant) {
  const RunConfig& config = variant.config;
  const auto examples = shortened(request.examples, config.sequence_len);
  const auto validation = shortened(request.validation, config.sequence_len);
  const PlanRequest changed{.config = config,
                            .model = request.model,
                            .adapter = variant.adapter,
                            .examples = examples,
                            .validation = validation,
                            .device = request.device,
                            .num_multiprocessors = request.num_multiprocessors,
                            .architecture = request.architecture,
                            .host_limit = request.host_limit};
  fit::StepShape shape = step_shape(changed);
  if (config.layer_offloading) shape.model.num_streamed = request.model.num_layers;
  const int64_t step =
      fit::peak_with(shape, fit::top_rung(wanted_settings(changed), ladder_bounds(changed, shape)));
  const EvaluationPlan evaluation =
      choose_evaluation({.config = config,
                         .model = request.model,
                         .options = shape.model,
                         .adapter = variant.adapter,
                         .optimizer = shape.optimizer,
                         .examples = validation,
                         .memory = {},
                         .limit = 0});  // nothing fits: one example at a time
  return std::max(step, evaluation.peak);
}

std::string described(const Remedy& remedy) {
  return fmt::format("{} ({})", remedy.change.name, format_bytes(remedy.peak));
}

// In whole MiB, rounded up, and with what the limit leaves to a GPU's context: a limit that is set
// to it is enough.
std::string whole_mib(const PlanRequest& request, int64_t peak) {
  constexpr int64_t kMiB = int64_t{1} << 20;
  const int64_t set = request.config.memory_limit;
  const int64_t overhead = set > 0 ? std::max<int64_t>(0, set - request.memory_limit) : 0;
  return fmt::format("{}MiB", (peak + overhead + kMiB - 1) / kMiB);
}

std::string raise_the_limit(const PlanRequest& request, int64_t peak) {
  const std::string needed = whole_mib(request, peak);
  if (request.config.memory_limit > 0) return "raise memory_limit to " + needed;
  return fmt::format("make {} free, or take a bigger machine", needed);
}

// Where no change alone is enough: as many of them together as are needed, those that save most
// first.
std::string joint_advice(const PlanRequest& request, const std::vector<Remedy>& remedies) {
  Variant variant{request.config, request.adapter};
  std::vector<std::string> names;
  int64_t peak = 0;
  for (const Remedy& remedy : remedies) {
    remedy.change.apply(variant);
    names.push_back(remedy.change.name);
    peak = peak_of(request, variant);
    if (peak <= request.memory_limit) {
      return fmt::format("{}, together, take {}", fmt::join(names, ", "), format_bytes(peak));
    }
  }
  std::string advice = fmt::format("even with {} it takes {}: {}", fmt::join(names, ", "),
                                   format_bytes(peak), raise_the_limit(request, peak));
  if (request.config.memory_limit > 0) {
    advice += fmt::format(" as well, or without these changes to {}",
                          whole_mib(request, peak_of(request, {request.config, request.adapter})));
  }
  return advice + ", or take a smaller model";
}

// The smallest GPU of the table on which the last rung would fit, whatever the limit here; nothing
// where there is no table.
std::string gpu_advice(const PlanRequest& request) {
  std::vector<fit::Gpu> gpus;
  try {
    gpus = fit::read_gpus(find_data_file("gpus.yaml"));
  } catch (const Error&) {  // the advice is not worth a second failure
    return {};
  }
  std::ranges::stable_sort(gpus, {}, &fit::Gpu::memory);
  const std::string how = request.config.memory_limit > 0
                              ? "rung plan --all-gpus --set memory_limit=0"
                              : "rung plan --all-gpus";
  Variant unlimited{request.config, request.adapter};
  unlimited.config.memory_limit = 0;
  PlanRequest on_gpu = request;
  on_gpu.device = c10::kCUDA;
  on_gpu.host_limit = 0;
  std::optional<int64_t> peak;
  for (const fit::Gpu& gpu : gpus) {
    if (!peak || request.config.deterministic) {  // which depends on the chip
      on_gpu.num_multiprocessors = gpu.num_multiprocessors;
      peak = peak_of(on_gpu, unlimited);
    }
    if (*peak > tensor_limit_on(gpu, unlimited.config)) continue;
    return fmt::format("; the smallest GPU of the table that would do is {} ({})", gpu.name, how);
  }
  return fmt::format("; it would fit on no GPU of the table ({})", how);
}

// Which keys to change, with the bytes that the step takes then.
std::string key_advice(const PlanRequest& request) {
  const Variant unchanged{request.config, request.adapter};
  const int64_t peak = peak_of(request, unchanged);
  std::vector<Remedy> remedies;
  for (Change& change : possible_changes(request)) {
    Variant variant = unchanged;
    change.apply(variant);
    const int64_t changed_peak = peak_of(request, variant);
    if (changed_peak < peak) remedies.push_back({std::move(change), changed_peak});
  }
  if (remedies.empty()) {
    return fmt::format("no key makes it smaller: {}, or take a smaller model",
                       raise_the_limit(request, peak));
  }
  std::ranges::stable_sort(remedies, {}, &Remedy::peak);
  std::vector<std::string> enough;
  for (const Remedy& remedy : remedies) {
    if (remedy.peak <= request.memory_limit) enough.push_back(described(remedy));
  }
  if (enough.empty()) return joint_advice(request, remedies);
  return fmt::format("it fits with {}", fmt::join(enough, ", or "));
}

}  // namespace

Error does_not_fit(const RunConfig& config, const Misfit& misfit) {
  const bool is_set = config.memory_limit > 0;
  std::string expected = fmt::format("at most {}", format_bytes(misfit.limit));
  if (!is_set) {
    expected += " (what is free; there is no memory_limit)";
  } else if (misfit.limit == config.memory_limit) {
    expected += " (memory_limit)";
  } else {  // on a GPU, where the context takes its part
    expected += fmt::format(" of memory_limit {}", format_bytes(config.memory_limit));
  }
  return Error(ExitCode::kDoesNotFit, {.what = misfit.what,
                                       .got = format_bytes(misfit.peak),
                                       .expected = expected,
                                       .hint = misfit.hint,
                                       .where = is_set ? config.memory_limit_place : ""});
}

std::string memory_advice(const PlanRequest& request) {
  return key_advice(request) + gpu_advice(request);
}

}  // namespace rung::training
