// One thread block of the emulated device: its fibers, and how they wait for one another.
#pragma once

#include <ucontext.h>

#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "tests/support/emulation/device.h"

namespace rung::emulation {

enum class State { kReady, kAtBarrier, kInWarpCall, kDone };

struct Fiber {
  ucontext_t context = {};
  Dim3 index;
  State state = State::kReady;
  std::source_location site;  // of the wait
  // The warp call waited in, then its result.
  WarpCall call = WarpCall::kSync;
  uint32_t mask = 0;
  uint64_t value = 0;
  int source = 0;
  uint64_t result = 0;
};

// Stacks are kept between blocks.
class FiberStacks {
 public:
  explicit FiberStacks(size_t num_threads);
  std::span<std::byte> operator[](size_t thread);

 private:
  std::unique_ptr<std::byte[]> memory_;
};

// What the blocks of a launch have in common.
struct BlockContext {
  const Launch& launch;
  const std::function<void()>& thread_body;
  Schedule schedule;
  FiberStacks& stacks;
  std::byte* dynamic_shared = nullptr;
};

class Block {
 public:
  Block(const BlockContext& context, Dim3 index, std::mt19937& random);

  // Runs all threads to their end; throws Fault.
  void run();

  // Called from the running fiber.
  void wait_at_barrier(std::source_location site);
  uint64_t wait_in_warp(WarpCall call, uint32_t mask, uint64_t value, int source,
                        std::source_location site);
  void maybe_switch();
  int lane() const { return static_cast<int>(running_ % 32); }

  const BlockContext& context() const { return context_; }
  const Dim3& index() const { return index_; }
  const Fiber& running() const { return fibers_[running_]; }

  // The block whose fiber runs on this operating system thread; null outside kernels.
  static Block* current();

  // From the handler of a memory fault: ends the running fiber and makes run() throw.
  [[noreturn]] void abandon_fiber(const void* address);

 private:
  static void enter_fiber();
  void resume(size_t thread);
  void suspend();
  void release_barrier();
  void complete_warp_call(size_t thread);
  [[noreturn]] void fault(size_t thread, const std::string& what) const;
  std::string name(size_t thread) const;

  const BlockContext& context_;
  Dim3 index_;
  std::mt19937& random_;
  std::vector<Fiber> fibers_;
  std::vector<size_t> order_;
  ucontext_t scheduler_ = {};
  size_t running_ = 0;
  std::exception_ptr failure_;
  std::optional<const void*> fault_address_;
};

}  // namespace rung::emulation
