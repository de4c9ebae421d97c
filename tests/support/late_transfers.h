// Copies that happen as late as their contract allows: when they are waited for. On a GPU they
// happen somewhere between being queued and being waited for; the CPU's own happen at once. What
// works with both waits where it must.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <memory>

#include "memory/transfers.h"

namespace rung::testing {

// The CPU's transfers while the object lives.
class LateTransfers final : public memory::Transfers {
 public:
  LateTransfers() : before_(*memory::register_transfers(c10::kCPU, this)) {}
  ~LateTransfers() override { memory::register_transfers(c10::kCPU, nullptr); }
  LateTransfers(const LateTransfers&) = delete;
  LateTransfers& operator=(const LateTransfers&) = delete;

  c10::Device device() const override { return c10::kCPU; }
  at::Tensor pinned(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return before_.pinned(sizes, dtype);
  }
  at::Tensor pageable(at::IntArrayRef sizes, c10::ScalarType dtype) override {
    return before_.pageable(sizes, dtype);
  }

  memory::Counter& host_counter() override { return before_.host_counter(); }
  memory::Counter& pinned_counter() override { return before_.pinned_counter(); }

  memory::WorkMarkPtr copy_beside(const at::Tensor& to, const at::Tensor& from) override {
    queue_.push_back({to, from});
    ++num_queued_;
    return std::make_shared<Mark>(num_queued_);
  }

  // Copies run in the order in which they were queued.
  void wait_for(const memory::WorkMarkPtr& mark) override {
    if (!mark) return;
    const int64_t last = static_cast<const Mark&>(*mark).number;
    for (; num_done_ < last; ++num_done_) {
      queue_.front().to.copy_(queue_.front().from);
      queue_.pop_front();
    }
  }

  int64_t num_queued() const { return num_queued_; }

 private:
  struct Mark final : memory::WorkMark {
    explicit Mark(int64_t n) : number(n) {}
    int64_t number;
  };
  struct Copy {
    at::Tensor to;
    at::Tensor from;
  };
  memory::Transfers& before_;
  std::deque<Copy> queue_;
  int64_t num_queued_ = 0;
  int64_t num_done_ = 0;
};

}  // namespace rung::testing
