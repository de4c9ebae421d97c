#include "training/run_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/units.h"
#include "ops/attention.h"
#include "training/does_not_fit.h"
#include "training/largest_batch.h"

namespace rung::training {
namespace {

// `bounds` for the micro-batches of `batch`.
fit::LadderBounds over(fit::LadderBounds bounds, const data::StepBatch& batch) {
  bounds.num_documents = 1;
  bounds.num_tokens = 0;
  for (const data::MicroBatch& micro_batch : batch.micro_batches) {
    bounds.num_documents = std::max(bounds.num_documents, std::ssize(micro_batch.documents));
    bounds.num_tokens = std::max(bounds.num_tokens, micro_batch.num_tokens());
  }
  return bounds;
}

// "every block recomputed, logits in chunks of 4 MiB"
std::string last_rung(const StepPlan& plan) {
  const int64_t num_blocks = plan.bounds.num_blocks;
  const int64_t recomputed = plan.choice.settings.memory.num_recomputed;
  const std::string blocks =
      recomputed == num_blocks
          ? "every block recomputed"
          : fmt::format("{} of {} recomputed", recomputed, format_counted(num_blocks, "block"));
  const std::string more = fit::describe_others(plan.choice.settings, plan.bounds);
  return more.empty() ? blocks : blocks + ", " + more;
}

[[noreturn]] void refuse(const PlanRequest& request, const StepPlan& plan) {
  throw does_not_fit(
      request.config,
      {.what = fmt::format("a training step does not fit, even with {}", last_rung(plan)),
       .peak = plan.choice.peak,
       .limit = request.memory_limit,
       .hint = memory_advice(request)});
}

// Chooses of `peaks`, which are those of a model that is loaded as `model` has it.
fit::Choice choose(const PlanRequest& request, const RunLoad& load, fit::StepPeaks& peaks,
                   const fit::StepSettings& start, const fit::LadderBounds& bounds) {
  const fit::Work work = work_of(load, request, peaks.shape().model);
  return fit::choose_settings(
      peaks, start, bounds,
      {.limit = request.memory_limit,
       .work = work,
       .rates = request.rates.value_or(fit::assumed_rates(request.device))});
}

}  // namespace

int64_t RunPlan::planned_peak() const { return std::max(train_peak, evaluation.peak); }

std::map<std::string, int64_t> RunPlan::planned_by_phase() const {
  std::map<std::string, int64_t> phases = {{"train", train_peak}};
  if (evaluation.peak > 0) phases["eval"] = evaluation.peak;
  return phases;
}

int64_t total_steps(const RunConfig& config, int64_t steps_in_epoch) {
  if (config.max_steps > 0) return config.max_steps;
  return static_cast<int64_t>(std::ceil(config.num_epochs * static_cast<double>(steps_in_epoch)));
}

fit::LadderBounds RunPlan::bounds_for(const data::StepBatch& batch) const {
  return over(bounds, batch);
}

int64_t most_recomputed(const Recompute& wanted, const format::ModelConfig& model) {
  switch (wanted.mode) {
    case Recompute::Mode::kNone:
      return 0;
    case Recompute::Mode::kBlocks:
      return std::min(wanted.num_blocks, model.num_layers);
    case Recompute::Mode::kAuto:
    case Recompute::Mode::kAll:
      break;
  }
  return model.num_layers;
}

namespace {

int64_t full_head_chunk(c10::DeviceType device) {
  return device == c10::kCUDA ? fit::kFullHeadChunkOfGpu : fit::kFullHeadChunk;
}

bool has_flash(const PlanRequest& request, c10::ScalarType compute) {
  return ops::attention_kernel_for(request.device, compute, request.model.head_dim) ==
         ops::AttentionKernel::kFlash;
}

bool takes_cudnn(const PlanRequest& request, c10::ScalarType compute) {
  return request.config.attention == "auto" && has_flash(request, compute) &&
         ops::prefers_cudnn(request.architecture, request.model.head_dim,
                            request.config.sequence_len);
}

}  // namespace

// Recomputed blocks keep their dequantised weights for the backward pass as long as there is room:
// fewer passes over memory, the same bits.
fit::StepSettings wanted_settings(const PlanRequest& request) {
  const RunConfig& config = request.config;
  const bool is_auto = config.gradient_checkpointing.mode == Recompute::Mode::kAuto;
  return {
      .memory = {.num_recomputed =
                     is_auto ? 0 : most_recomputed(config.gradient_checkpointing, request.model),
                 .dequantisation = config.load_in_4bit ? model::Dequantisation::kOnceABlock
                                                       : model::Dequantisation::kEachProduct,
                 .checkpoints = config.activation_offloading ? model::Checkpoints::kOnHost
                                                             : model::Checkpoints::kOnDevice,
                 .mlp_tile = config.tiled_mlp ? mlp_tile(request.model) : 0,
                 .head_chunk_bytes = full_head_chunk(request.device)}};
}

fit::LadderBounds ladder_bounds(const PlanRequest& request, const fit::StepShape& shape) {
  const RunConfig& config = request.config;
  fit::LadderBounds bounds{
      .num_blocks = shape.config.num_layers,
      .most_recomputed = most_recomputed(config.gradient_checkpointing, shape.config),
      .is_quantized = config.load_in_4bit,
      .head_chunk = full_head_chunk(request.device)};
  if (config.fit == "off") {
    bounds.only_recompute = true;
    return bounds;
  }
  bounds.has_own_memory = shape.model.stands_for == c10::kCUDA;
  bounds.mlp_tile = mlp_tile(shape.config);
  bounds = over(bounds, shape.batch);
  if (!shape.packed_lengths.empty()) {  // rows full of documents that are no longer than the first
    bounds.num_documents =
        std::max(bounds.num_documents, bounds.num_tokens / shape.packed_lengths.front());
  }
  if (bounds.has_own_memory && request.host_limit > 0) {
    const fit::StepSettings top = fit::top_rung(wanted_settings(request), bounds);
    bounds.has_own_memory = fit::host_peak(fit::with_settings(shape, top)) <= request.host_limit;
  }
  return bounds;
}

bool fits_on_host(const PlanRequest& request, const fit::Choice& choice) {
  return request.host_limit == 0 || choice.host_peak <= request.host_limit;
}

Error host_misfit(const PlanRequest& request, const fit::Choice& choice) {
  const RunConfig& config = request.config;
  std::vector<std::string> keys;
  if (config.activation_offloading) keys.push_back("activation_offloading");
  if (config.embedding_offloading) keys.push_back("embedding_offloading");
  if (config.layer_offloading) keys.push_back("layer_offloading");
  return Error(
      ExitCode::kDoesNotFit,
      {.what = "what a training step keeps in host memory does not fit",
       .got = format_bytes(choice.host_peak),
       .expected = fmt::format("at most {}", format_bytes(request.host_limit)),
       .hint = fmt::format("do without {}, or free host memory", fmt::join(keys, " or without "))});
}

data::LoaderOptions loader_options(const RunConfig& config) {
  return {.sequence_len = config.sequence_len,
          .micro_batch_size = config.micro_batch_size,
          .gradient_accumulation_steps = config.gradient_accumulation_steps,
          .sample_packing = config.sample_packing,
          .shuffle = config.shuffle,
          .seed = config.seed};
}

step::StepOptions step_options(const RunConfig& config, const fit::StepSettings& settings) {
  return {.max_grad_norm = config.max_grad_norm, .memory = settings.memory, .seed = config.seed};
}

fit::StepShape step_shape(const PlanRequest& request) {
  model::ModelOptions options = model_options(request.config, request.model, request.device);
  if (request.config.deterministic) {
    options.deterministic_multiprocessors = request.num_multiprocessors;
  } else if (takes_cudnn(request, options.compute)) {
    options.cudnn_attention_length = request.config.sequence_len;
  }
  return {.config = request.model,
          .model = options,
          .adapter = request.adapter,
          .optimizer = optimizer_options(request.config),
          .batch = largest_step(request.config, request.examples),
          .packed_lengths = longest_packed(request.config, request.examples)};
}

StepPlan plan_step(const PlanRequest& request) {
  fit::StepPeaks peaks(step_shape(request));
  return plan_step(request, peaks, load_of(request));
}

StepPlan plan_step(const PlanRequest& request, fit::StepPeaks& peaks, const RunLoad& load) {
  const int64_t num_blocks = request.model.num_layers;
  const fit::StepSettings start = wanted_settings(request);
  StepPlan plan{.model = peaks.shape().model};
  if (request.config.layer_offloading) plan.model.num_streamed = num_blocks;
  plan.bounds = ladder_bounds(request, peaks.streaming(plan.model.num_streamed).shape());
  if (request.config.layer_offloading) {
    plan.choice = choose(request, load, peaks.streaming(num_blocks), start, plan.bounds);
    if (plan.choice.fits) {
      fit::StepSettings least = plan.choice.settings;
      least.memory.num_recomputed = plan.bounds.most_recomputed;
      plan.model.num_streamed =
          fit::choose_num_streamed(peaks, num_blocks, least, request.memory_limit);
    }
  }
  plan.choice = choose(request, load, peaks.streaming(plan.model.num_streamed), start, plan.bounds);
  return plan;
}

EvaluationRequest evaluation_request(const PlanRequest& request, const StepPlan& plan) {
  return {.config = request.config,
          .model = request.model,
          .options = plan.model,
          .adapter = request.adapter,
          .optimizer = optimizer_options(request.config),
          .examples = request.validation,
          .memory = plan.choice.settings.memory,
          .limit = request.memory_limit};
}

fit::Choice choose_from(const PlanRequest& request, const RunPlan& plan,
                        const fit::StepSettings& start) {
  fit::StepShape shape = step_shape(request);
  shape.model = plan.model;
  fit::StepPeaks peaks(std::move(shape));
  fit::StepSettings from = start;
  // From a machine with more of it, perhaps.
  const auto wanted = wanted_settings(request).memory.checkpoints;
  if (!plan.bounds.has_own_memory) from.memory.checkpoints = wanted;
  return choose(request, load_of(request), peaks, from, plan.bounds);
}

std::optional<std::string> attention_note(const model::ModelOptions& model) {
  const int64_t length = model.cudnn_attention_length;
  if (length == 0) return std::nullopt;
  return fmt::format(
      "attention: cuDNN's where all documents of a micro-batch have {} tokens, else "
      "FlashAttention-2",
      length);
}

std::optional<std::string> deterministic_note(const PlanRequest& request, const RunPlan& plan) {
  if (plan.model.deterministic_multiprocessors == 0 || !has_flash(request, plan.model.compute)) {
    return std::nullopt;
  }
  fit::StepShape any_order = step_shape(request);
  any_order.model = plan.model;
  any_order.model.deterministic_multiprocessors = 0;
  const int64_t more = plan.train_peak - fit::peak_with(any_order, plan.settings);
  return fmt::format(
      "deterministic: attention's backward pass adds up in a fixed order, which is "
      "slower and takes {} more",
      format_bytes(more));
}

RunPlan plan_run(const PlanRequest& request) {
  const RunConfig& config = request.config;
  const RunLoad load = load_of(request);
  RunPlan plan{.steps_in_epoch = load.steps_in_epoch, .total_steps = load.steps};
  plan.schedule = {.kind = config.lr_scheduler,
                   .peak = config.learning_rate,
                   .warmup_steps = step::warmup_steps(config, plan.total_steps),
                   .total_steps = plan.total_steps};
  fit::StepPeaks peaks(step_shape(request));
  const StepPlan step = plan_step(request, peaks, load);
  if (!step.choice.fits) refuse(request, step);
  if (!fits_on_host(request, step.choice)) throw host_misfit(request, step.choice);
  plan.model = step.model;
  plan.wanted = wanted_settings(request);
  plan.settings = step.choice.settings;
  plan.bounds = step.bounds;
  plan.train_peak = step.choice.peak;
  plan.host_peak = step.choice.host_peak;
  fit::StepPeaks& loaded = peaks.streaming(step.model.num_streamed);
  plan.wanted_peak = loaded.peak(plan.wanted);
  plan.by_component =
      memory::by_name(fit::step_memory(fit::with_settings(loaded.shape(), plan.settings)).at_peak);
  plan.evaluation = plan_evaluation(evaluation_request(request, step));
  return plan;
}

}  // namespace rung::training
