// Counts tensor bytes: live, peak, and by component, with an optional limit.
//
// One Counter per allocator (CPU, meta, CUDA). Sizes are rounded up to kAlignment on the first two,
// so that the peak of a step on the meta device equals the peak of the same step on the CPU to the
// byte. Bytes that a library takes for itself inside an operator (a GEMM's scratch memory) are
// tagged kLibrary and kept apart: the shape-only run never takes them, so they are no part of the
// compared peak; the limit covers both.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace rung::memory {

inline constexpr int64_t kAlignment = 64;  // bytes; what ATen asks of a CPU allocator

// What a tensor belongs to.
enum class Component : uint8_t {
  kOther,
  kBaseWeights,
  kAdapters,
  kGradients,
  kOptimizer,
  kBlockInputs,  // the checkpoints between blocks
  kActivations,  // what the graph of a block keeps
  kHead,         // logits, loss
  kWorkspace,    // dequantised weights, GEMM operands in another dtype
  kKvCache,
  kLibrary,
};
inline constexpr size_t kNumComponents = 11;
std::string_view name_of(Component component);

// Tensors allocated by this thread while the scope lives belong to `component`. Scopes nest.
class ComponentScope {
 public:
  explicit ComponentScope(Component component);
  ~ComponentScope();
  ComponentScope(const ComponentScope&) = delete;
  ComponentScope& operator=(const ComponentScope&) = delete;
  static Component current();

 private:
  Component previous_;
};

using ByComponent = std::array<int64_t, kNumComponents>;  // bytes
// Those that are not 0.
std::map<std::string, int64_t> by_name(const ByComponent& bytes);

struct Usage {
  int64_t live = 0;     // bytes, without kLibrary
  int64_t peak = 0;     // bytes, largest `live` since the last reset_peak
  int64_t library = 0;  // bytes of kLibrary now
  ByComponent live_by_component{};
  ByComponent at_peak{};  // live_by_component at the moment of the peak
};

class Counter {
 public:
  // Bytes that live tensors may take together; 0 = no limit.
  void set_limit(int64_t bytes);
  int64_t limit() const;

  // Counts `bytes` in, or returns false and counts nothing where the limit would be passed.
  [[nodiscard]] bool add(int64_t bytes, Component component);
  void remove(int64_t bytes, Component component);

  // For tests: of the next allocations, those numbered first .. first + count - 1, counted from 0,
  // fail as if the limit were passed. A count of 0 ends it.
  void fail_allocations(int64_t first, int64_t count);
  // Since the last call of fail_allocations, failed ones included.
  int64_t num_allocations() const;

  Usage usage() const;
  // The next peak is counted from what is live now.
  void reset_peak();

 private:
  mutable std::mutex mutex_;
  int64_t limit_ = 0;
  int64_t num_allocations_ = 0;
  int64_t first_failure_ = 0;
  int64_t num_failures_ = 0;
  Usage usage_;
};

}  // namespace rung::memory
