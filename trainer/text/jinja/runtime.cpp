#include "text/jinja/runtime.h"

#include <fmt/format.h>

#include "text/jinja/failure.h"

namespace rung::text::jinja {

Runtime::~Runtime() {
  // The list keeps every namespace alive meanwhile, so that emptying one never destroys another
  // and a long chain cannot recurse.
  for (const auto& space : namespaces_) space->attributes.clear();
}

void Runtime::charge(size_t steps) {
  steps_ += steps;
  if (steps_ > limits_.max_steps)
    throw Failure(fmt::format("the template takes more than {} steps", limits_.max_steps));
}

void Runtime::charge_text(size_t bytes) {
  if (bytes > limits_.max_text)
    throw Failure(fmt::format("a text grows over {} bytes", limits_.max_text));
  charge(1 + bytes / 16);
}

std::tm Runtime::now() const {
  if (now_) {
    // Fills the day of the week and of the year.
    std::tm filled = *now_;
    timegm(&filled);
    return filled;
  }
  const std::time_t seconds = std::time(nullptr);
  std::tm local{};
  localtime_r(&seconds, &local);
  return local;
}

Runtime::Level::Level(Runtime& runtime) : runtime_(runtime) {
  runtime.charge(1);
  if (runtime.depth_ >= runtime.limits_.max_depth) {
    throw Failure(fmt::format("the template nests more than {} evaluations (endless recursion?)",
                              runtime.limits_.max_depth));
  }
  ++runtime.depth_;
}

}  // namespace rung::text::jinja
