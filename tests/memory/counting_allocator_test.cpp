#include "memory/counting_allocator.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/counting.h"

namespace rung::memory {
namespace {

using rung::testing::Measured;
using rung::testing::taken_by;

constexpr int64_t kMiB = int64_t{1} << 20;

at::Tensor bytes(int64_t count, c10::Device device = c10::kCPU) {
  return at::empty({count}, at::TensorOptions(device).dtype(c10::kByte));
}

size_t index_of(Component component) { return static_cast<size_t>(component); }

// Takes the limit away again, whatever the test does.
class Limit {
 public:
  Limit(Counter& counter, int64_t more) : counter_(counter) {
    const Usage usage = counter.usage();
    counter.set_limit(usage.live + usage.library + more);
  }
  ~Limit() { counter_.set_limit(0); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  Counter& counter_;
};

// Resident bytes of this process.
int64_t resident() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0;
  int64_t pages = 0;
  file >> total >> pages;
  return pages * 4096;
}

class CountingAllocator : public ::testing::TestWithParam<c10::DeviceType> {
 protected:
  c10::Device device() const { return c10::Device(GetParam()); }
  Counter& counter() const {
    return GetParam() == c10::DeviceType::Meta ? meta_counter() : cpu_counter();
  }
};

TEST_P(CountingAllocator, CountsSizesRoundedUpToTheAlignment) {
  for (const auto [asked, counted] : {std::pair<int64_t, int64_t>{1, 64},
                                      {64, 64},
                                      {65, 128},
                                      {kMiB - 1, kMiB},
                                      {kMiB + 1, kMiB + 64}}) {
    const Measured measured(counter());
    const at::Tensor tensor = bytes(asked, device());
    EXPECT_EQ(measured.taken().live, counted) << asked;
  }
}

TEST_P(CountingAllocator, AFreedTensorIsNoLongerLiveButStaysInThePeak) {
  const auto taken = taken_by(counter(), [&] { bytes(1000, device()); });
  EXPECT_EQ(taken.live, 0);
  EXPECT_EQ(taken.peak, 1024);
}

TEST_P(CountingAllocator, AnEmptyTensorTakesNothing) {
  const Measured measured(counter());
  const at::Tensor tensor = bytes(0, device());
  EXPECT_EQ(measured.taken().peak, 0);
}

TEST_P(CountingAllocator, ATensorBelongsToTheScopeItWasMadeIn) {
  const Measured measured(counter());
  at::Tensor tensor;
  {
    const ComponentScope scope(Component::kHead);
    tensor = bytes(100, device());
  }
  EXPECT_EQ(measured.taken().live_by_component[index_of(Component::kHead)], 128);
  tensor.reset();  // outside the scope: still taken from kHead
  EXPECT_EQ(measured.taken(), (rung::testing::Taken{.peak = 128, .at_peak = [] {
                                                      ByComponent at_peak{};
                                                      at_peak[index_of(Component::kHead)] = 128;
                                                      return at_peak;
                                                    }()}));
}

TEST_P(CountingAllocator, PastTheLimitThrowsOutOfMemoryWithTheFigures) {
  const int64_t in_use = counter().usage().live + counter().usage().library;
  const Limit limit(counter(), 4096);
  const at::Tensor fits = bytes(4096, device());
  try {
    bytes(100, device());
    FAIL() << "nothing was thrown";
  } catch (const c10::OutOfMemoryError& error) {
    const std::string text = error.what_without_backtrace();
    EXPECT_NE(text.find("memory: 100 bytes asked for, " + std::to_string(in_use + 4096) +
                        " in use, limit " + std::to_string(in_use + 4096)),
              std::string::npos)
        << text;
    EXPECT_TRUE(text.starts_with(device().is_meta() ? "meta" : "CPU")) << text;
  }
}

TEST_P(CountingAllocator, ARefusedTensorIsNotCounted) {
  const Measured measured(counter());
  const Limit limit(counter(), 4096);
  EXPECT_THROW(bytes(1 << 30, device()), c10::OutOfMemoryError);
  EXPECT_EQ(measured.taken().live, 0);
  EXPECT_EQ(measured.taken().peak, 0);
  EXPECT_NO_THROW(bytes(4096, device()));
}

TEST_P(CountingAllocator, LibraryScopeIsNoPartOfThePeak) {
  const Measured measured(counter());
  const int64_t library = counter().usage().library;
  const ComponentScope scope(Component::kLibrary);
  const at::Tensor tensor = bytes(1000, device());
  EXPECT_EQ(measured.taken().peak, 0);
  EXPECT_EQ(counter().usage().library, library + 1024);
}

INSTANTIATE_TEST_SUITE_P(Devices, CountingAllocator,
                         ::testing::Values(c10::DeviceType::CPU, c10::DeviceType::Meta),
                         [](const auto& info) { return c10::DeviceTypeName(info.param); });

TEST(CpuAllocator, DataIsAlignedAndItsOwnContext) {
  for (const int64_t size : {int64_t{1}, int64_t{100}, kMiB, 5 * kMiB}) {
    const c10::DataPtr data = c10::GetCPUAllocator()->allocate(static_cast<size_t>(size));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(data.get()) % kAlignment, 0u) << size;
    EXPECT_EQ(data.get(), data.get_context()) << size;
  }
}

TEST(CpuAllocator, WholeBlockCanBeWritten) {
  for (const int64_t size : {int64_t{1}, int64_t{63}, kMiB - 64, kMiB, 5 * kMiB + 1}) {
    const at::Tensor tensor = bytes(size);
    std::memset(tensor.data_ptr(), 0x5a, static_cast<size_t>(size));
    EXPECT_EQ(tensor.const_data_ptr<uint8_t>()[size - 1], 0x5a);
  }
}

TEST(CpuAllocator, RawAllocateAndDeallocateAreCounted) {
  c10::Allocator* allocator = c10::GetCPUAllocator();
  const Measured measured(cpu_counter());
  for (const size_t size : {size_t{10}, static_cast<size_t>(2 * kMiB)}) {
    void* block = allocator->raw_allocate(size);
    ASSERT_NE(block, nullptr);
    std::memset(block, 1, size);
    EXPECT_GE(measured.taken().live, static_cast<int64_t>(size));
    allocator->raw_deallocate(block);
    EXPECT_EQ(measured.taken().live, 0);
  }
}

TEST(CpuAllocator, ZeroBytesAreANullPointerThatCanBeFreed) {
  c10::Allocator* allocator = c10::GetCPUAllocator();
  const Measured measured(cpu_counter());
  void* block = allocator->raw_allocate(0);
  EXPECT_EQ(block, nullptr);
  allocator->raw_deallocate(block);
  EXPECT_EQ(measured.taken().peak, 0);
}

TEST(CpuAllocator, CloneCopiesTheBytes) {
  const c10::DataPtr data = c10::GetCPUAllocator()->allocate(100);
  std::memset(data.get(), 7, 100);
  const c10::DataPtr copy = c10::GetCPUAllocator()->clone(data.get(), 100);
  ASSERT_NE(copy.get(), data.get());
  EXPECT_EQ(std::memcmp(copy.get(), data.get(), 100), 0);
}

TEST(CpuAllocator, OperatorsOfATenUseIt) {
  const at::Tensor tensor = bytes(1000);
  const Measured measured(cpu_counter());
  const at::Tensor sum = at::add(tensor, tensor);
  EXPECT_EQ(measured.taken().live, 1024);
}

TEST(CpuAllocator, ManyThreadsAllocateAndFreeEachOthersBlocks) {
  const Measured measured(cpu_counter());
  constexpr size_t kThreads = 4;
  constexpr int kRounds = 200;
  std::vector<std::vector<at::Tensor>> made(kThreads);
  const auto in_threads = [&](auto action) {
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) threads.emplace_back([&, t] { action(t); });
    for (std::thread& thread : threads) thread.join();
  };
  in_threads([&](size_t t) {
    const ComponentScope scope(Component::kActivations);
    for (int round = 0; round < kRounds; ++round) {
      made[t].push_back(bytes(round % 20 == 0 ? kMiB : 64 * (1 + round % 7)));
      if (round % 3 == 0) made[t].erase(made[t].begin());
    }
  });
  EXPECT_GT(measured.taken().live, 0);
  in_threads([&](size_t t) { made[(t + 1) % kThreads].clear(); });
  EXPECT_EQ(measured.taken().live, 0);
  EXPECT_EQ(measured.taken().live_by_component[index_of(Component::kActivations)], 0);
}

// A tensor whose pages are all resident.
at::Tensor touched(int64_t count) {
  at::Tensor tensor = bytes(count);
  std::memset(tensor.data_ptr(), 1, static_cast<size_t>(count));
  return tensor;
}

TEST(CpuAllocator, ReleasedBlocksLeaveTheProcess) {
  release_kept_blocks();
  const int64_t before = resident();
  at::Tensor tensor = touched(288 * kMiB);
  ASSERT_GE(resident() - before, 280 * kMiB);
  tensor.reset();
  EXPECT_GE(kept_block_bytes(), 288 * kMiB);
  EXPECT_GE(resident() - before, 280 * kMiB);
  release_kept_blocks();
  EXPECT_EQ(kept_block_bytes(), 0);
  EXPECT_LE(resident() - before, 16 * kMiB);
}

TEST(CpuAllocator, KeptBlocksMakeRoomForOthersBelowAnEarlierPeak) {
  release_kept_blocks();
  const int64_t before = resident();
  const auto tensors_of = [](int count, int64_t size) {
    std::vector<at::Tensor> tensors;
    for (int i = 0; i < count; ++i) tensors.push_back(touched(size + i * 4096));
    return tensors;
  };
  std::vector<at::Tensor> tensors = tensors_of(36, 16 * kMiB);
  tensors.clear();
  tensors = tensors_of(12, 24 * kMiB);  // other sizes: kept blocks make room for them
  EXPECT_LE(resident() - before, (36 * 16 + 16) * kMiB);
  EXPECT_GE(kept_block_bytes(), 256 * kMiB);
  tensors.clear();
  release_kept_blocks();
}

// Pages that nobody touches cost nothing: what is kept and used is read off the counts.
std::vector<at::Tensor> untouched(int count, int64_t size) {
  std::vector<at::Tensor> tensors;
  for (int i = 0; i < count; ++i) tensors.push_back(bytes(size + i * 4096));
  return tensors;
}

TEST(CpuAllocator, AtMost256MiBAreKeptAboveAnEarlierPeak) {
  release_kept_blocks();
  const Measured measured(cpu_counter());
  untouched(36, 16 * kMiB);  // freed at once
  const int64_t most_used = measured.taken().peak;
  EXPECT_GE(kept_block_bytes(), 36 * 16 * kMiB) << "all of it, as nothing is in use";
  std::vector<at::Tensor> tensors;
  for (int i = 0; i < 35; ++i) {  // other sizes, up to as much
    tensors.push_back(bytes(17 * kMiB + i * 4096));
    const int64_t used = measured.taken().live;
    EXPECT_LE(used + kept_block_bytes(), std::max(most_used, used + 256 * kMiB) + kMiB) << i;
  }
  EXPECT_GT(measured.taken().live, most_used);
  EXPECT_GE(kept_block_bytes(), 240 * kMiB) << "kept on top";
  tensors.clear();
  release_kept_blocks();
}

// No address space holds this.
constexpr int64_t kRefused = int64_t{1} << 47;

TEST(CpuAllocator, WhatTheSystemRefusesIsNoPartOfThePeak) {
  const Measured measured(cpu_counter());
  EXPECT_THROW(bytes(kRefused), c10::OutOfMemoryError);
  EXPECT_EQ(measured.taken().live, 0);
  EXPECT_EQ(measured.taken().peak, 0);
}

TEST(CpuAllocator, WhatTheSystemRefusesDoesNotLetMoreBeKept) {
  release_kept_blocks();
  EXPECT_THROW(bytes(kRefused), c10::OutOfMemoryError);
  for (int i = 0; i < 20; ++i) bytes(17 * kMiB + i * 4096);
  EXPECT_LE(kept_block_bytes(), 256 * kMiB);
  release_kept_blocks();
}

TEST(CpuAllocator, KeptBlocksGoBeforeABlockIsRefused) {
  bytes(17 * kMiB);
  ASSERT_GT(kept_block_bytes(), 0);
  EXPECT_THROW(bytes(kRefused), c10::OutOfMemoryError);
  EXPECT_EQ(kept_block_bytes(), 0);
}

// With a limit nothing is asked of the system, for which kept blocks would go.
TEST(CpuAllocator, WhatIsPastTheLimitLeavesKeptBlocks) {
  bytes(17 * kMiB);
  const int64_t kept = kept_block_bytes();
  ASSERT_GT(kept, 0);
  const Limit limit(cpu_counter(), 4096);
  EXPECT_THROW(bytes(600 * kMiB), c10::OutOfMemoryError);
  EXPECT_EQ(kept_block_bytes(), kept);
}

TEST(CpuAllocator, AFreedLargeBlockIsTakenAgainForTheSameSize) {
  const int64_t size = 3 * kMiB + 64 * 123;
  at::Tensor tensor = bytes(size);
  const void* first = tensor.data_ptr();
  tensor.reset();
  const at::Tensor again = bytes(size);
  EXPECT_EQ(again.data_ptr(), first);
}

TEST(MetaAllocator, CountsShapesThatNoMachineHolds) {
  const Measured measured(meta_counter());
  const at::Tensor tensor = bytes(int64_t{1} << 45, c10::kMeta);
  EXPECT_EQ(measured.taken().live, int64_t{1} << 45);
}

// Writes down what it is told.
struct Recorder final : AllocationObserver {
  void allocated(uint64_t id, int64_t bytes) override {
    EXPECT_TRUE(live.emplace(id, bytes).second) << "id of a live block";
    told.push_back(bytes);
  }
  void freed(uint64_t id) override {
    if (live.erase(id) == 0) ++unknown;
  }
  std::map<uint64_t, int64_t> live;
  std::vector<int64_t> told;
  int unknown = 0;
};

TEST(MetaObservation, IsToldOfEveryBlockInTheBytesAskedFor) {
  Recorder recorder;
  const MetaObservation observation(recorder);
  at::Tensor first = bytes(1000, c10::kMeta);
  const at::Tensor empty = bytes(0, c10::kMeta);
  const at::Tensor second = bytes(1, c10::kMeta);
  EXPECT_EQ(recorder.told, (std::vector<int64_t>{1000, 1}));
  first.reset();
  ASSERT_EQ(recorder.live.size(), 1u);
  EXPECT_EQ(recorder.live.begin()->second, 1);
  EXPECT_EQ(recorder.unknown, 0);
}

TEST(MetaObservation, IsNotToldOfTheCpu) {
  Recorder recorder;
  const MetaObservation observation(recorder);
  bytes(1000);
  EXPECT_TRUE(recorder.told.empty());
}

TEST(MetaObservation, EndsWithItsScope) {
  Recorder recorder;
  at::Tensor before = bytes(100, c10::kMeta);
  at::Tensor during;
  {
    const MetaObservation observation(recorder);
    before.reset();
    during = bytes(200, c10::kMeta);
  }
  during.reset();
  bytes(300, c10::kMeta);
  EXPECT_EQ(recorder.told, (std::vector<int64_t>{200}));
  EXPECT_EQ(recorder.unknown, 1);
  Recorder another;
  const MetaObservation again(another);
  bytes(400, c10::kMeta);
  EXPECT_EQ(another.told, (std::vector<int64_t>{400}));
}

TEST(MetaObservation, IsNotToldOfARefusedBlock) {
  Recorder recorder;
  const MetaObservation observation(recorder);
  const Limit limit(meta_counter(), 4096);
  EXPECT_THROW(bytes(8192, c10::kMeta), c10::OutOfMemoryError);
  EXPECT_TRUE(recorder.told.empty());
}

TEST(MetaAllocator, DoesNotTouchTheCpuCounter) {
  const Measured measured(cpu_counter());
  const at::Tensor tensor = bytes(1000, c10::kMeta);
  EXPECT_EQ(measured.taken().peak, 0);
}

}  // namespace
}  // namespace rung::memory
