#include "training/bench.h"

#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/stopwatch.h"
#include "base/units.h"
#include "data/split.h"
#include "step/step.h"

namespace rung::training {
namespace {

// Where the number of steps is not given: as many as take this long, within these bounds.
constexpr double kWantedSeconds = 20.0;
constexpr int64_t kFewestSteps = 3;
constexpr int64_t kMostSteps = 20;
// The first step chooses GEMM kernels and touches fresh memory. The second is a warm-up as well,
// where it costs less than this.
constexpr double kCheapSeconds = 10.0;

// Measures the memory of steps. Made before the model is loaded: what the process then takes beside
// tensors is its own.
class StepMemory {
 public:
  explicit StepMemory(const memory::Device& device)
      : device_(device), workspaces_(device.reserved()), neighbours_(device.neighbours()) {}

  // From here on peaks and retries are counted.
  void reset() {
    device_.counter().reset_peak();
    if (device_.torch_device().is_cpu()) return;
    num_retries_ = stats().num_alloc_retries;
    allocator().resetPeakStats(device_.torch_device().index());
  }

  void read(BenchMemory& memory) const {
    memory.tensor_peak = device_.counter().usage().peak;
    if (device_.torch_device().is_cpu()) {
      memory.held_peak = memory.tensor_peak;
      // Freed blocks that are kept may come on top of what tensors take at once.
      memory.process = std::max(memory.tensor_peak, device_.reserved()) + device_.other();
      return;
    }
    // The peak: what is reserved now may be less, where the allocator ran dry and gave blocks back.
    const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const int64_t reserved = stats().reserved_bytes[all].peak;
    // Kernels that are loaded as they are first used and page tables look like a neighbour's.
    const int64_t grown = std::max<int64_t>(0, device_.neighbours() - neighbours_);
    memory.process = reserved + device_.other() + grown;
    // No plan has what was there from the start.
    memory.held_peak = reserved - workspaces_;
    memory.num_alloc_retries = stats().num_alloc_retries - num_retries_;
  }

 private:
  c10::DeviceAllocator& allocator() const {
    return *c10::getDeviceAllocator(device_.torch_device().type());
  }
  c10::CachingDeviceAllocator::DeviceStats stats() const {
    return allocator().getDeviceStats(device_.torch_device().index());
  }

  const memory::Device& device_;
  int64_t workspaces_;  // of cuBLAS, bytes
  int64_t neighbours_;
  int64_t num_retries_ = 0;
};

// Takes steps, one after another, and times them.
class StepTimer {
 public:
  StepTimer(const BenchSetup& setup, model::Transformer& model, std::ostream& log)
      : setup_(setup),
        log_(log),
        model_(model),
        optimizer_(model.adapter().parameters(), optimizer_options(setup.config)),
        loader_(setup.examples, loader_options(setup.config)) {}

  // Warms up, then takes num_steps steps (0: by time); fills in what they tell.
  void run(int64_t num_steps, BenchResult& result) {
    double seconds = take("warm-up");
    result.num_warmup = 1;
    if (seconds < kCheapSeconds) {
      seconds = take("warm-up");
      ++result.num_warmup;
    }
    if (num_steps == 0) {
      num_steps =
          std::clamp<int64_t>(std::llround(kWantedSeconds / seconds), kFewestSteps, kMostSteps);
    }
    for (int64_t i = 1; i <= num_steps; ++i) {
      result.seconds.push_back(take(fmt::format("step {}/{}", i, num_steps)));
    }
    result.loss = loss_;
    result.tokens = batch_.num_tokens();
    result.flops = fit::step_flops(setup_.model, setup_.adapter.options, fit::counts_of(batch_),
                                   setup_.plan.settings.memory.num_recomputed);
  }

 private:
  // One step; returns its seconds.
  double take(const std::string& name) {
    batch_ = loader_.next();
    setup_.machine.device.synchronize();
    const Stopwatch stopwatch;
    const step::StepResult done =
        step::run_step(model_, optimizer_, data::split_step(batch_, setup_.plan.settings.split),
                       {.index = num_taken_, .learning_rate = setup_.config.learning_rate},
                       step_options(setup_.config, setup_.plan.settings));
    setup_.machine.device.synchronize();
    const double seconds = stopwatch.seconds();
    if (done.outcome != step::StepOutcome::kUpdated) {
      throw Error(ExitCode::kDiverged, {.what = "the loss or the gradient of a step is not finite",
                                        .hint = "its time would say nothing: lower learning_rate"});
    }
    ++num_taken_;
    loss_ = done.loss;
    // Behind every step: who stops a long run keeps what it has shown.
    fmt::print(log_, "{:<9} {:.1f} tok/s, peak {}\n", name,
               static_cast<double>(batch_.num_tokens()) / seconds,
               format_bytes(setup_.machine.device.counter().usage().peak));
    return seconds;
  }

  const BenchSetup& setup_;
  std::ostream& log_;
  model::Transformer& model_;
  step::Optimizer optimizer_;
  data::Loader loader_;
  data::StepBatch batch_;  // the last one
  double loss_ = 0.0;
  int64_t num_taken_ = 0;
};

int64_t num_weights(const format::ModelConfig& model) {
  int64_t sum = 0;
  for (const auto& [name, shape] : format::expected_tensors(model)) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    sum += count;
  }
  return sum;
}

BenchResult describe(const BenchSetup& setup) {
  const memory::Device& device = setup.machine.device;
  return {.config = setup.config,
          .model = setup.model_name,
          .shape = setup.model,
          .device = device.name(),
          .num_threads = at::get_num_threads(),
          .num_blocks = setup.model.num_layers,
          .num_recomputed = setup.plan.settings.memory.num_recomputed,
          .num_weights = num_weights(setup.model),
          .memory = {.limit = setup.machine.limit, .planned_peak = setup.plan.train_peak}};
}

// Loads the model and takes the steps; the model is gone when it returns.
void run_steps(const BenchSetup& setup, int64_t num_steps, BenchResult& result, std::ostream& log) {
  const memory::Device& device = setup.machine.device;
  memory::Counter& counter = device.counter();
  counter.reset_peak();
  StepMemory step_memory(device);
  const Stopwatch stopwatch;
  model::Transformer model = load_bench_model(setup);
  setup.machine.device.synchronize();
  result.load_seconds = stopwatch.seconds();
  result.base = model.options().base;
  result.compute = model.precision().compute;
  result.gemm = ops::gemm_dtype(model.precision());
  result.num_parameters = model.adapter().parameters().numel();
  result.memory.load_peak = counter.usage().peak;
  fmt::print(log, "load      {} weights in {}\n", format_count(result.num_weights),
             format_duration(result.load_seconds));

  step_memory.reset();
  StepTimer(setup, model, log).run(num_steps, result);
  step_memory.read(result.memory);
}

}  // namespace

BenchResult bench(const BenchRequest& request, std::ostream& log) {
  const BenchSetup setup = set_up_bench(request);
  BenchResult result = describe(setup);
  const Machine& machine = setup.machine;
  fmt::print(log, "device    {}{}\n", machine.device.name(),
             machine.why_not_cuda.empty() ? "" : fmt::format(" ({})", machine.why_not_cuda));
  fmt::print(log, "plan      {}, peak {} of {}\n",
             fit::describe(setup.plan.settings, setup.plan.bounds),
             format_bytes(result.memory.planned_peak), format_bytes(machine.tensor_limit()));
  if (const auto note = attention_note(setup.plan.model)) fmt::print(log, "note      {}\n", *note);
  run_steps(setup, request.num_steps, result, log);
  result.gemm_rate = fit::measure_gemm_rate(
      machine.device, ops::precision_for(result.compute, machine.device.torch_device().type()),
      machine.memory_left() / 2);
  return result;
}

}  // namespace rung::training
