// Scheduling of fibers: see device.h for what is found and what is not.
#include "tests/support/emulation/block.h"

#include <algorithm>
#include <numeric>
#include <sstream>

namespace rung::emulation {

namespace {

constexpr size_t kStackBytes = 64 * 1024;
constexpr size_t kWarpSize = 32;

// The emulated counterpart of the hardware's "which thread am I" registers.
thread_local Block* current_block = nullptr;

std::string text(const Dim3& index) {
  std::ostringstream out;
  out << '(' << index.x << ',' << index.y << ',' << index.z << ')';
  return out.str();
}

std::string text(const std::source_location& site) {
  const std::string path = site.file_name();
  return path.substr(path.rfind('/') + 1) + ':' + std::to_string(site.line());
}

bool same_site(const std::source_location& a, const std::source_location& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::string_view(a.file_name()) == b.file_name();
}

size_t num_threads(const Dim3& block) { return size_t{block.x} * block.y * block.z; }

}  // namespace

FiberStacks::FiberStacks(size_t num_threads)
    : memory_(std::make_unique_for_overwrite<std::byte[]>(num_threads * kStackBytes)) {}

std::span<std::byte> FiberStacks::operator[](size_t thread) {
  return {memory_.get() + thread * kStackBytes, kStackBytes};
}

Block::Block(const BlockContext& context, Dim3 index, std::mt19937& random)
    : context_(context),
      index_(index),
      random_(random),
      fibers_(num_threads(context.launch.block)),
      order_(fibers_.size()) {
  const Dim3& size = context.launch.block;
  for (size_t i = 0; i < fibers_.size(); ++i) {
    Fiber& fiber = fibers_[i];
    const auto linear = static_cast<unsigned>(i);
    fiber.index = {linear % size.x, linear / size.x % size.y, linear / size.x / size.y};
    getcontext(&fiber.context);
    const std::span<std::byte> stack = context.stacks[i];
    fiber.context.uc_stack.ss_sp = stack.data();
    fiber.context.uc_stack.ss_size = stack.size();
    fiber.context.uc_link = &scheduler_;
    makecontext(&fiber.context, &Block::enter_fiber, 0);
  }
  std::iota(order_.begin(), order_.end(), size_t{0});
  if (context.schedule.order == Order::kReverse) std::reverse(order_.begin(), order_.end());
}

Block* Block::current() { return current_block; }

void Block::run() {
  size_t num_done = 0;
  while (num_done < fibers_.size()) {
    if (context_.schedule.order == Order::kRandom) {
      std::shuffle(order_.begin(), order_.end(), random_);
    }
    bool progressed = false;
    for (size_t thread : order_) {
      if (fibers_[thread].state != State::kReady) continue;
      progressed = true;
      resume(thread);
      if (fibers_[thread].state == State::kInWarpCall) complete_warp_call(thread);
      if (fibers_[thread].state == State::kDone) ++num_done;
    }
    if (!progressed) release_barrier();
  }
}

void Block::resume(size_t thread) {
  running_ = thread;
  current_block = this;
  swapcontext(&scheduler_, &fibers_[thread].context);
  current_block = nullptr;
  if (fault_address_) {
    // A processor that refuses an address for its alignment does not say which it was.
    std::ostringstream what;
    what << "touches memory outside its buffers, at " << *fault_address_;
    if (*fault_address_ == nullptr) what << ", or a vector that is not aligned";
    fault(thread, what.str());
  }
  if (!failure_) return;
  try {
    std::rethrow_exception(failure_);
  } catch (const std::exception& error) {
    fault(thread, error.what());
  }
}

// The first function on a fiber's stack. Exceptions may not leave it.
void Block::enter_fiber() {
  Block& block = *current_block;
  try {
    block.context_.thread_body();
  } catch (...) {
    block.failure_ = std::current_exception();
  }
  block.fibers_[block.running_].state = State::kDone;
}

void Block::suspend() { swapcontext(&fibers_[running_].context, &scheduler_); }

void Block::abandon_fiber(const void* address) {
  fault_address_ = address;
  fibers_[running_].state = State::kDone;
  setcontext(&scheduler_);
  std::abort();
}

void Block::wait_at_barrier(std::source_location site) {
  Fiber& fiber = fibers_[running_];
  fiber.site = site;
  fiber.state = State::kAtBarrier;
  suspend();
}

uint64_t Block::wait_in_warp(WarpCall call, uint32_t mask, uint64_t value, int source,
                             std::source_location site) {
  Fiber& fiber = fibers_[running_];
  fiber.site = site;
  fiber.call = call;
  fiber.mask = mask;
  fiber.value = value;
  fiber.source = source;
  fiber.state = State::kInWarpCall;
  suspend();
  return fiber.result;
}

void Block::maybe_switch() {
  if (context_.schedule.order == Order::kRandom && random_() % 2 == 0) suspend();
}

// Nobody can run: all live threads must wait at one barrier, and none may have ended.
void Block::release_barrier() {
  const auto waits_in_warp = std::ranges::find(fibers_, State::kInWarpCall, &Fiber::state);
  if (waits_in_warp != fibers_.end()) {
    fault(static_cast<size_t>(waits_in_warp - fibers_.begin()),
          "waits for ever for lanes of its mask in the warp call at " + text(waits_in_warp->site));
  }
  const auto first = std::ranges::find(fibers_, State::kAtBarrier, &Fiber::state);
  const auto waiting = static_cast<size_t>(first - fibers_.begin());
  for (size_t thread = 0; thread < fibers_.size(); ++thread) {
    const Fiber& fiber = fibers_[thread];
    if (fiber.state == State::kDone) {
      fault(waiting, "waits at the barrier at " + text(first->site) + ", but thread " +
                         text(fiber.index) + " has ended");
    }
    if (!same_site(fiber.site, first->site)) {
      fault(waiting, "waits at the barrier at " + text(first->site) + ", but thread " +
                         text(fiber.index) + " at the one at " + text(fiber.site));
    }
  }
  for (Fiber& fiber : fibers_) fiber.state = State::kReady;
}

// If `thread` was the last of its mask to come, all of them go on.
void Block::complete_warp_call(size_t thread) {
  const size_t warp = thread - thread % kWarpSize;
  const Fiber& last = fibers_[thread];
  if ((last.mask >> (thread - warp) & 1u) == 0) {
    fault(thread, "is not in the mask of its warp call at " + text(last.site));
  }
  uint64_t votes = 0;
  for (size_t lane = 0; lane < kWarpSize; ++lane) {
    if ((last.mask >> lane & 1u) == 0) continue;
    if (warp + lane >= fibers_.size() || fibers_[warp + lane].state == State::kDone) {
      fault(thread, "waits in the warp call at " + text(last.site) + " for lane " +
                        std::to_string(lane) + ", which has ended");
    }
    const Fiber& fiber = fibers_[warp + lane];
    if (fiber.state != State::kInWarpCall) return;
    if (!same_site(fiber.site, last.site) || fiber.mask != last.mask || fiber.call != last.call) {
      fault(thread, "is in the warp call at " + text(last.site) + ", but lane " +
                        std::to_string(lane) + " of its mask in the one at " + text(fiber.site) +
                        (fiber.mask != last.mask ? ", with another mask" : ""));
    }
    votes |= uint64_t{fiber.value != 0} << lane;
  }
  for (size_t lane = 0; lane < kWarpSize; ++lane) {
    if ((last.mask >> lane & 1u) == 0) continue;
    Fiber& fiber = fibers_[warp + lane];
    if (fiber.call == WarpCall::kShuffle && (fiber.mask >> fiber.source & 1u) == 0) {
      fault(warp + lane, "reads lane " + std::to_string(fiber.source) +
                             ", which is not in the mask, at " + text(fiber.site));
    }
    fiber.result = fiber.call == WarpCall::kShuffle ? fibers_[warp + fiber.source].value : votes;
    fiber.state = State::kReady;
  }
}

std::string Block::name(size_t thread) const {
  return "thread " + text(fibers_[thread].index) + " of block " + text(index_);
}

void Block::fault(size_t thread, const std::string& what) const {
  throw Fault(name(thread) + ' ' + what);
}

}  // namespace rung::emulation
