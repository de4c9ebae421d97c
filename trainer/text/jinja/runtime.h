// What operators, filters, tests and functions need of a running render: its limits and its clock.
//
// Templates come with models, so from strangers. Every evaluation costs steps, in proportion to
// the values and bytes it touches; out of steps, too deep or too long is a Failure. The step limit
// also bounds memory: whatever a render allocates it has paid for.
#pragma once

#include <cstddef>
#include <ctime>
#include <optional>
#include <string>

#include "text/jinja/value.h"

namespace rung::text::jinja {

struct Limits {
  size_t max_steps = 20'000'000;
  size_t max_depth = 1200;             // evaluations inside one another
  size_t max_text = size_t{64} << 20;  // bytes of one string, and of the output
};

class Runtime {
 public:
  Runtime(Limits limits, std::optional<std::tm> now) : limits_(limits), now_(now) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  void charge(size_t steps);
  // For work on (or the making of) `bytes` bytes of text.
  void charge_text(size_t bytes);
  const Limits& limits() const { return limits_; }
  std::tm now() const;  // the given time, else the local time

  // Namespaces can hold each other in a circle; all that were made are emptied when the render
  // ends.
  void keep(std::shared_ptr<Namespace> space) { namespaces_.push_back(std::move(space)); }

  // One level of evaluation, for its lifetime.
  class Level {
   public:
    explicit Level(Runtime& runtime);
    ~Level() { --runtime_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Runtime& runtime_;
  };

 private:
  Limits limits_;
  std::optional<std::tm> now_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  size_t steps_ = 0;
  size_t depth_ = 0;
};

}  // namespace rung::text::jinja
