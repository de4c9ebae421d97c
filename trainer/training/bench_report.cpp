#include "training/bench_report.h"

#include <fmt/format.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/error.h"
#include "base/units.h"
#include "base/version.h"

namespace rung::training {
namespace {

// Of the timed steps.
struct Summary {
  double median = 0.0;
  double min = 0.0;
  double max = 0.0;
};

Summary spread_of(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2.0;
  return {.median = median, .min = values.front(), .max = values.back()};
}

// `amount` of every step over its seconds.
Summary rates(double amount, const std::vector<double>& seconds) {
  std::vector<double> values;
  for (const double s : seconds) values.push_back(amount / s);
  return spread_of(std::move(values));
}

std::string dtype_name(c10::ScalarType dtype) {
  return dtype == c10::kBFloat16 ? "bf16" : dtype == c10::kHalf ? "fp16" : "fp32";
}

std::string base_name(const BenchResult& result) {
  switch (result.base) {
    case model::BaseFormat::kNf4:
      return "nf4";
    case model::BaseFormat::kNf4DoubleQuant:
      return "nf4-double";
    case model::BaseFormat::kDense:
      break;
  }
  return dtype_name(result.compute);
}

// "24GiB", "23.5GiB", "200MiB": as memory_limit takes it.
std::string short_bytes(int64_t bytes) {
  std::string text = format_bytes(bytes);
  std::erase(text, ' ');
  const size_t zero = text.find(".0");
  if (zero != std::string::npos) text.erase(zero, 2);
  return text;
}

// Three digits, more where there are more before the point.
std::string number(double value) {
  return value < 100.0 ? fmt::format("{:.3g}", value) : fmt::format("{:.0f}", value);
}

std::string row(const std::string& name, const Summary& summary) {
  return fmt::format("{:<14}{:>12}{:>12}{:>12}\n", name, number(summary.median),
                     number(summary.min), number(summary.max));
}

std::string speed_text(const BenchResult& result) {
  const Summary tflops = rates(result.flops.total() / 1e12, result.seconds);
  const fit::GemmRate& gemm = result.gemm_rate;
  const double gemm_tflops = gemm.flops_per_second / 1e12;
  return fmt::format("{:<14}{:>12}{:>12}{:>12}\n", "", "median", "min", "max") +
         row("tokens/s", rates(static_cast<double>(result.tokens), result.seconds)) +
         row("s/step", spread_of(result.seconds)) + row("TFLOP/s", tflops) +
         fmt::format("{:<14}{:>12}   {} x {} matrices; the steps reach {:.0f} % of it\n",
                     "GEMM TFLOP/s", number(gemm_tflops), gemm.size, gemm.size,
                     100.0 * tflops.median / gemm_tflops);
}

std::string memory_text(const BenchResult& result) {
  const BenchMemory& memory = result.memory;
  std::string text = fmt::format("{:<14}{:>12}   planned {}, limit {}\n", "peak memory",
                                 format_bytes(memory.held_peak), format_bytes(memory.planned_peak),
                                 format_bytes(memory.limit));
  if (memory.tensor_peak != memory.held_peak) {
    text += fmt::format("{:<14}{:>12}\n", "  of tensors", format_bytes(memory.tensor_peak));
  }
  if (memory.num_alloc_retries > 0) {
    text += fmt::format("{:<14}{:>12}   times the allocator ran dry and gave cached blocks back\n",
                        "  retries", memory.num_alloc_retries);
  }
  text += fmt::format("{:<14}{:>12}\n", "process", format_bytes(memory.process));
  return text + fmt::format("{:<14}{:>12}   {} weights in {}\n", "loading",
                            format_bytes(memory.load_peak), format_count(result.num_weights),
                            format_duration(result.load_seconds));
}

Json settings_json(const BenchResult& result) {
  const RunConfig& config = result.config;
  return {{"model", result.model},
          {"base", base_name(result)},
          {"lora_r", config.lora_r},
          {"micro_batch_size", config.micro_batch_size},
          {"gradient_accumulation_steps", config.gradient_accumulation_steps},
          {"sequence_len", config.sequence_len},
          {"compute_dtype", dtype_name(result.compute)},
          {"gemm_dtype", dtype_name(result.gemm)},
          {"lora_dropout", config.lora_dropout},
          {"memory_limit", result.memory.limit},
          {"device", config.device},
          {"num_threads", result.num_threads},
          {"seed", config.seed},
          {"warmup_steps", result.num_warmup},
          {"steps", result.seconds.size()},
          {"versions", {{"rung", kVersion}, {"commit", kCommit}, {"libtorch", TORCH_VERSION}}}};
}

Json flops_json(const fit::StepFlops& flops) {
  return {{"total", flops.total()},     {"linears", flops.linears},
          {"adapters", flops.adapters}, {"attention", flops.attention},
          {"head", flops.head},         {"recomputed", flops.recomputed}};
}

Json figure_json(const BenchResult& result) {
  const Summary tokens = rates(static_cast<double>(result.tokens), result.seconds);
  const double tflops = rates(result.flops.total() / 1e12, result.seconds).median;
  const double gemm_tflops = result.gemm_rate.flops_per_second / 1e12;
  const BenchMemory& memory = result.memory;
  return {{"name", figure_name(result)},
          {"tokens_per_second", tokens.median},
          {"tokens_per_second_min", tokens.min},
          {"tokens_per_second_max", tokens.max},
          {"tokens", result.tokens},
          {"seconds", result.seconds},
          {"peak_memory", memory.tensor_peak},
          {"planned_peak", memory.planned_peak},
          {"held_peak", memory.held_peak},
          {"load_peak", memory.load_peak},
          {"process_memory", memory.process},
          {"alloc_retries", memory.num_alloc_retries},
          {"num_blocks", result.num_blocks},
          {"recomputed_blocks", result.num_recomputed},
          {"flops", flops_json(result.flops)},
          {"tflops", tflops},
          {"gemm_tflops", gemm_tflops},
          {"gemm_size", result.gemm_rate.size},
          {"gemm_share", tflops / gemm_tflops},
          {"load_seconds", result.load_seconds},
          {"weights", result.num_weights},
          {"parameters", result.num_parameters},
          {"loss", result.loss}};
}

}  // namespace

std::string figure_name(const BenchResult& result) {
  const RunConfig& config = result.config;
  return fmt::format("{}/{}/r{}/{}x{}/{}", result.model, base_name(result), config.lora_r,
                     config.micro_batch_size, config.sequence_len,
                     short_bytes(result.memory.limit));
}

std::string bench_text(const BenchResult& result) {
  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out, "{}\n\n", escape_for_terminal(figure_name(result)));
  fmt::format_to(out, "{}, {}, activations in {}, matrices multiplied in {}\n", result.device,
                 format_counted(result.num_threads, "thread"), dtype_name(result.compute),
                 dtype_name(result.gemm));
  fmt::format_to(out, "{} of {} after {} to warm up; {} of {} recomputed\n\n",
                 format_counted(std::ssize(result.seconds), "step"),
                 format_counted(result.tokens, "token"), result.num_warmup, result.num_recomputed,
                 format_counted(result.num_blocks, "block"));
  return text + speed_text(result) + "\n" + memory_text(result);
}

Json bench_json(const BenchResult& result) {
  return {{"device", result.device},
          {"settings", settings_json(result)},
          {"figures", Json::array({figure_json(result)})}};
}

}  // namespace rung::training
