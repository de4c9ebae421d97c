// A device that runs CUDA kernels on the CPU, for tests on machines without a GPU.
//
// Each thread of a block is a fiber; one runs at a time, until it waits at a barrier or in a warp
// call, or ends. Blocks run one after another. The order of threads and blocks is chosen by the
// test: a kernel whose result depends on it has a race.
//
// Found, and thrown as Fault: barriers that some threads miss or that threads wait at in different
// places, warp calls whose lanes do not all come or that read from a lane outside the mask,
// accesses to the guard pages of a GuardedBuffer, to address 0, behind dynamic shared memory or to
// vectors that are not aligned, pointers that no GuardedBuffer owns (where they are arguments of a
// launch themselves, and not members of one), and exceptions.
// Shared memory holds 0xff bytes (NaN) when a block starts, so that a read before the write shows.
// Not found: races that no tested order shows, and everything about speed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <source_location>
#include <stdexcept>

namespace rung::emulation {

enum class Order { kForward, kReverse, kRandom };

// kRandom also switches threads at atomic operations.
struct Schedule {
  Order order = Order::kForward;
  unsigned seed = 1;
};

struct Dim3 {
  unsigned x = 1;
  unsigned y = 1;
  unsigned z = 1;
};

struct Launch {
  Dim3 grid;
  Dim3 block;
  size_t shared_bytes = 0;
};

// What pointers a kernel may be given: into the memory of GuardedBuffer, which stands for a GPU's,
// or also into any other of the host.
enum class Memory { kGuarded, kAny };

// A kernel did something that a GPU leaves undefined or hangs on. The text names thread and place.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Device {
 public:
  explicit Device(Schedule schedule = {}, Memory memory = Memory::kGuarded);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // What launchers take as Stream::handle.
  void* handle();

  // Runs `thread_body` once for every thread of the grid. Throws Fault.
  void run(const Launch& launch, const std::function<void()>& thread_body);

  // Throws Fault where a launch may not be given this pointer.
  void check_pointer(const void* pointer) const;

  int64_t num_launches() const { return num_launches_; }
  // Whether so many kernels were launched. A GPU, on which the same tests run (tests/gpu), does not
  // know, and has it true.
  bool launched(int64_t count) const;

 private:
  Schedule schedule_;
  Memory memory_;
  int64_t num_launches_ = 0;
};

// What the emulated intrinsics call, from inside a kernel only. `site` is where the kernel's text
// has the call: threads that should meet must meet in one place.

const Dim3& thread_index();
const Dim3& block_index();
const Dim3& block_size();
const Dim3& grid_size();
std::byte* dynamic_shared_memory();

void block_barrier(std::source_location site);

enum class WarpCall { kSync, kShuffle, kVote };

// Waits for all lanes of `mask`. kShuffle: returns the value that lane `source` brought.
// kVote: returns the lanes that brought a value other than 0. `source` counts within the warp.
uint64_t warp_call(WarpCall call, uint32_t mask, uint64_t value, int source,
                   std::source_location site);

int lane_index();

// A place where another thread may run next, in random order.
void maybe_switch();

}  // namespace rung::emulation
