// Guards that change the evaluator's state for their lifetime. Internal to the evaluator.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "text/jinja/evaluator.h"

namespace rung::text::jinja {

class Evaluator::ScopeSwitch {
 public:
  ScopeSwitch(Evaluator& evaluator, std::shared_ptr<Scope> scope)
      : evaluator_(evaluator), outer_(std::exchange(evaluator.scope_, std::move(scope))) {}
  ~ScopeSwitch() { evaluator_.scope_ = std::move(outer_); }
  ScopeSwitch(const ScopeSwitch&) = delete;
  ScopeSwitch& operator=(const ScopeSwitch&) = delete;

 private:
  Evaluator& evaluator_;
  std::shared_ptr<Scope> outer_;
};

class Evaluator::InnerScope {
 public:
  explicit InnerScope(Evaluator& evaluator)
      : switch_(evaluator, std::make_shared<Scope>(evaluator.scope_)) {}

 private:
  ScopeSwitch switch_;
};

class Evaluator::Capture {
 public:
  explicit Capture(Evaluator& evaluator)
      : evaluator_(evaluator), outer_(std::exchange(evaluator.sink_, &text_)) {}
  ~Capture() { evaluator_.sink_ = outer_; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  std::string take() { return std::move(text_); }

 private:
  Evaluator& evaluator_;
  std::string text_;
  std::string* outer_;
};

}  // namespace rung::text::jinja
