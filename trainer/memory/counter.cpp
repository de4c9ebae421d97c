#include "memory/counter.h"

namespace rung::memory {
namespace {

thread_local Component current_component = Component::kOther;

size_t index_of(Component component) { return static_cast<size_t>(component); }

}  // namespace

std::string_view name_of(Component component) {
  static constexpr std::array<std::string_view, kNumComponents> kNames = {
      "other",       "base_weights", "adapters",  "gradients", "optimizer", "block_inputs",
      "activations", "head",         "workspace", "kv_cache",  "library"};
  return kNames[index_of(component)];
}

std::map<std::string, int64_t> by_name(const ByComponent& bytes) {
  std::map<std::string, int64_t> named;
  for (size_t i = 0; i < kNumComponents; ++i) {
    if (bytes[i] != 0) named[std::string(name_of(static_cast<Component>(i)))] = bytes[i];
  }
  return named;
}

ComponentScope::ComponentScope(Component component) : previous_(current_component) {
  current_component = component;
}

ComponentScope::~ComponentScope() { current_component = previous_; }

Component ComponentScope::current() { return current_component; }

void Counter::set_limit(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
}

int64_t Counter::limit() const {
  const std::lock_guard lock(mutex_);
  return limit_;
}

bool Counter::add(int64_t bytes, Component component) {
  const std::lock_guard lock(mutex_);
  const int64_t number = num_allocations_++;
  if (number >= first_failure_ && number < first_failure_ + num_failures_) return false;
  if (limit_ > 0 && usage_.live + usage_.library + bytes > limit_) return false;
  usage_.live_by_component[index_of(component)] += bytes;
  if (component == Component::kLibrary) {
    usage_.library += bytes;
    return true;
  }
  usage_.live += bytes;
  if (usage_.live > usage_.peak) {
    usage_.peak = usage_.live;
    usage_.at_peak = usage_.live_by_component;
  }
  return true;
}

void Counter::remove(int64_t bytes, Component component) {
  const std::lock_guard lock(mutex_);
  usage_.live_by_component[index_of(component)] -= bytes;
  (component == Component::kLibrary ? usage_.library : usage_.live) -= bytes;
}

void Counter::fail_allocations(int64_t first, int64_t count) {
  const std::lock_guard lock(mutex_);
  num_allocations_ = 0;
  first_failure_ = first;
  num_failures_ = count;
}

int64_t Counter::num_allocations() const {
  const std::lock_guard lock(mutex_);
  return num_allocations_;
}

Usage Counter::usage() const {
  const std::lock_guard lock(mutex_);
  return usage_;
}

void Counter::reset_peak() {
  const std::lock_guard lock(mutex_);
  usage_.peak = usage_.live;
  usage_.at_peak = usage_.live_by_component;
}

}  // namespace rung::memory
