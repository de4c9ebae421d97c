// Launches: the order of blocks, shared memory, and memory faults turned into Fault.
#include "tests/support/emulation/device.h"

#include <signal.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "tests/support/emulation/block.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

// Begin and end of the section that holds the kernels' static shared variables; the linker makes
// them where there is such a section.
extern "C" {
extern std::byte __start_rung_shared[] __attribute__((weak));
extern std::byte __stop_rung_shared[] __attribute__((weak));
}

namespace rung::emulation {

namespace {

constexpr unsigned char kPoison = 0xff;

constexpr Schedule kAll[] = {
    {Order::kForward}, {Order::kReverse}, {Order::kRandom, 1}, {Order::kRandom, 2}};

// Handles SIGSEGV while a grid runs, and SIGILL, which the compiler's alignment checks raise
// (cmake/Cuda.cmake).
class FaultHandler {
 public:
  FaultHandler() {
    struct sigaction action = {};
    action.sa_sigaction = &FaultHandler::handle;
    // SA_NODEFER: the handler does not return, it switches to the scheduler.
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, &previous_);
    sigaction(SIGILL, &action, &previous_illegal_);
  }
  ~FaultHandler() {
    sigaction(SIGSEGV, &previous_, nullptr);
    sigaction(SIGILL, &previous_illegal_, nullptr);
  }
  FaultHandler(const FaultHandler&) = delete;
  FaultHandler& operator=(const FaultHandler&) = delete;

 private:
  static void handle(int number, siginfo_t* info, void*) {
    const void* address = number == SIGSEGV ? info->si_addr : nullptr;
    if (Block* block = Block::current()) block->abandon_fiber(address);
    signal(number, SIG_DFL);  // not a kernel's fault: happens again, and ends the process
  }

  struct sigaction previous_ = {};
  struct sigaction previous_illegal_ = {};
};

void poison_static_shared() {
  if (__start_rung_shared == nullptr) return;
  std::memset(__start_rung_shared, kPoison,
              static_cast<size_t>(__stop_rung_shared - __start_rung_shared));
}

Block& running_block() {
  if (Block* block = Block::current()) return *block;
  throw Fault("a device intrinsic was called outside a kernel");
}

}  // namespace

constinit const std::span<const Schedule> kSchedules = kAll;

void* Device::handle() { return this; }

bool Device::launched(int64_t count) const { return num_launches_ == count; }

Device::Device(Schedule schedule, Memory memory) : schedule_(schedule), memory_(memory) {}

Device::~Device() = default;

void Device::check_pointer(const void* pointer) const {
  if (memory_ == Memory::kAny || pointer == nullptr || in_guarded_buffer(pointer)) return;
  throw Fault(
      "a kernel is given a pointer that no GuardedBuffer owns: memory that a GPU cannot see");
}

void Device::run(const Launch& launch, const std::function<void()>& thread_body) {
  const Dim3& grid = launch.grid;
  const size_t num_blocks = size_t{grid.x} * grid.y * grid.z;
  const size_t num_threads = size_t{launch.block.x} * launch.block.y * launch.block.z;
  if (num_blocks == 0 || num_threads == 0 || num_threads > 1024) {
    throw Fault("a grid of " + std::to_string(num_blocks) + " blocks of " +
                std::to_string(num_threads) + " threads cannot be launched");
  }
  ++num_launches_;
  std::mt19937 random(schedule_.seed + static_cast<unsigned>(num_launches_));
  std::vector<size_t> order(num_blocks);
  std::iota(order.begin(), order.end(), size_t{0});
  if (schedule_.order == Order::kReverse) std::reverse(order.begin(), order.end());
  if (schedule_.order == Order::kRandom) std::shuffle(order.begin(), order.end(), random);

  const FaultHandler handler;
  FiberStacks stacks(num_threads);
  GuardedBuffer<std::byte> shared(launch.shared_bytes);
  const BlockContext context{launch, thread_body, schedule_, stacks, shared.data()};
  for (size_t linear : order) {
    std::memset(shared.data(), kPoison, launch.shared_bytes);
    poison_static_shared();
    const auto i = static_cast<unsigned>(linear);
    Block(context, {i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y}, random).run();
    if (!shared.intact()) throw Fault("dynamic shared memory was written past its end");
  }
}

const Dim3& thread_index() { return running_block().running().index; }
const Dim3& block_index() { return running_block().index(); }
const Dim3& block_size() { return running_block().context().launch.block; }
const Dim3& grid_size() { return running_block().context().launch.grid; }
std::byte* dynamic_shared_memory() { return running_block().context().dynamic_shared; }
int lane_index() { return running_block().lane(); }

void block_barrier(std::source_location site) { running_block().wait_at_barrier(site); }

uint64_t warp_call(WarpCall call, uint32_t mask, uint64_t value, int source,
                   std::source_location site) {
  return running_block().wait_in_warp(call, mask, value, source, site);
}

void maybe_switch() { running_block().maybe_switch(); }

}  // namespace rung::emulation
