// The emulated device itself: what it computes, and that it finds faults planted in kernels.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/launch.h"
#include "tests/support/emulation/guarded_buffer.h"
#include "tests/support/emulation/schedules.h"

namespace rung::emulation {
namespace {

using kernels::Stream;
using kernels::cuda::dynamic_shared;
using kernels::cuda::exp2_approx;
using kernels::cuda::launch;

constexpr unsigned kAll = 0xffffffffu;

// The text of the Fault that `run` throws; fails the test when it throws none.
std::string fault_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Fault& fault) {
    return fault.what();
  }
  ADD_FAILURE() << "no fault was found";
  return "";
}

void expect_fault(const std::function<void()>& run, const std::string& part) {
  EXPECT_NE(fault_of(run).find(part), std::string::npos) << fault_of(run);
}

template <typename... Params, typename... Args>
void launch_block(Device& device, unsigned num_threads, void (*kernel)(Params...), Args... args) {
  launch(kernel, 1, num_threads, 0, Stream{device.handle()}, args...);
}

__global__ void index_kernel(int* out) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned i = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[i] = static_cast<int>(i);
}

TEST(Emulation, RunsEveryThreadOfEveryBlockInAnyOrder) {
  for (const Schedule& schedule : kSchedules) {
    Device device(schedule);
    GuardedBuffer<int> out(2 * 3 * 4 * 5 * 2 * 3);
    launch(index_kernel, dim3(2, 3, 4), dim3(5, 2, 3), 0, Stream{device.handle()}, out.data());
    std::vector<int> expected(out.size());
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(out.read(), expected);
    EXPECT_TRUE(out.intact());
  }
}

// Writes the sum of the block's 256 inputs, through warps and shared memory.
__global__ void sum_kernel(const float* x, float* out) {
  __shared__ float warps[8];
  float sum = x[threadIdx.x];
  for (int distance = 16; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(kAll, sum, distance);
  }
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
  __syncthreads();
  float total = 0.0f;
  for (float warp : warps) total += warp;
  out[threadIdx.x] = total;
}

TEST(Emulation, ShufflesAndSharesMemoryBehindABarrier) {
  std::vector<float> values(256);
  std::iota(values.begin(), values.end(), 1.0f);
  const GuardedBuffer<float> x(values);
  for (const Schedule& schedule : kSchedules) {
    Device device(schedule);
    GuardedBuffer<float> out(256);
    launch_block(device, 256, sum_kernel, x.data(), out.data());
    EXPECT_EQ(out.read(), std::vector<float>(256, 256.0f * 257.0f / 2.0f));
  }
}

__global__ void shuffle_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int* row = out + 6 * lane;
  row[0] = __shfl_sync(kAll, lane, 3, 8);
  row[1] = __shfl_up_sync(kAll, lane, 2u, 8);
  row[2] = __shfl_down_sync(kAll, lane, 2u, 8);
  row[3] = __shfl_xor_sync(kAll, lane, 9, 16);
  row[4] = static_cast<int>(__ballot_sync(kAll, lane % 5 == 0));
  row[5] = 2 * __any_sync(kAll, lane == 7) + __all_sync(kAll, lane < 31);
}

TEST(Emulation, ShufflesStayInTheirGroupOfLanes) {
  Device device;
  GuardedBuffer<int> out(6 * 32);
  launch_block(device, 32, shuffle_kernel, out.data());
  for (int lane = 0; lane < 32; ++lane) {
    const int* row = out.data() + 6 * lane;
    EXPECT_EQ(row[0], lane / 8 * 8 + 3);
    EXPECT_EQ(row[1], lane % 8 < 2 ? lane : lane - 2);
    EXPECT_EQ(row[2], lane % 8 > 5 ? lane : lane + 2);
    EXPECT_EQ(row[3], lane ^ 9);
    EXPECT_EQ(row[4], 0x42108421);
    EXPECT_EQ(row[5], 2);
  }
}

__global__ void exp2_kernel(float* out) {
  out[0] = exp2_approx(-1.0f);
  out[1] = exp2_approx(-126.0f);
  out[2] = exp2_approx(-126.5f);
  out[3] = exp2_approx(-INFINITY);
  out[4] = exp2_approx(NAN);
}

TEST(Emulation, PowersOfTwoThatAreNotNormalAreZero) {
  Device device;
  GuardedBuffer<float> out(5);
  launch_block(device, 1, exp2_kernel, out.data());
  EXPECT_EQ(out.data()[0], 0.5f);
  EXPECT_EQ(out.data()[1], 0x1p-126f);
  EXPECT_EQ(out.data()[2], 0.0f);
  EXPECT_EQ(out.data()[3], 0.0f);
  EXPECT_TRUE(std::isnan(out.data()[4]));
}

__global__ void root_kernel(float* out) { out[0] = __fsqrt_rn(2.0f); }

TEST(Emulation, RoundsRootsToNearest) {
  Device device;
  GuardedBuffer<float> out(1);
  launch_block(device, 1, root_kernel, out.data());
  EXPECT_EQ(out.data()[0], 0x1.6a09e6p+0f);
}

__global__ void approximate_kernel(float* out) {
  out[0] = __expf(1.0f);
  out[1] = __expf(-80.0f);
  out[2] = __expf(1e4f);
  out[3] = __fdividef(3.0f, 0x1p126f);
  out[4] = __fdividef(3.0f, 0x1.1p126f);
  out[5] = __fdividef(1.0f, INFINITY);
  out[6] = __fdividef(INFINITY, 0x1.1p126f);
}

TEST(Emulation, ApproximatesAsCoarselyAsTheDevice) {
  Device device;
  GuardedBuffer<float> out(7);
  launch_block(device, 1, approximate_kernel, out.data());
  EXPECT_FLOAT_EQ(out.data()[0], 2.71828183f);
  // The product -80 / ln 2 is off by up to 2^-18.
  EXPECT_NEAR(out.data()[1], 1.80485139e-35f, 1.8e-35f * 0x1p-18f);
  EXPECT_EQ(out.data()[2], INFINITY);
  EXPECT_EQ(out.data()[3], 3.0f * 0x1p-126f);
  EXPECT_EQ(out.data()[4], 0.0f);
  EXPECT_EQ(out.data()[5], 0.0f);
  EXPECT_TRUE(std::isnan(out.data()[6]));
}

__global__ void count_kernel(int* counter, int* ticket) {
  ticket[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(counter, 1);
}

TEST(Emulation, GivesEveryThreadItsOwnAtomicResult) {
  for (const Schedule& schedule : kSchedules) {
    Device device(schedule);
    GuardedBuffer<int> counter(std::vector<int>{0});
    GuardedBuffer<int> ticket(4 * 64);
    launch(count_kernel, 4, 64, 0, Stream{device.handle()}, counter.data(), ticket.data());
    std::vector<int> tickets = ticket.read();
    std::sort(tickets.begin(), tickets.end());
    std::vector<int> expected(tickets.size());
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(tickets, expected);
    EXPECT_EQ(counter.read().at(0), 256);
  }
}

// Reverses 64 values through shared memory; the barrier is missing.
__global__ void race_kernel(int* values) {
  int* shared = dynamic_shared<int>();
  shared[threadIdx.x] = values[threadIdx.x];
  values[threadIdx.x] = shared[63 - threadIdx.x];
}

TEST(Emulation, ShowsAMissingBarrierAsADifferenceBetweenOrders) {
  std::vector<std::vector<int>> results;
  for (const Schedule& schedule : kSchedules) {
    Device device(schedule);
    std::vector<int> values(64);
    std::iota(values.begin(), values.end(), 0);
    GuardedBuffer<int> reversed(values);
    launch(race_kernel, 1, 64, 64 * sizeof(int), Stream{device.handle()}, reversed.data());
    results.push_back(reversed.read());
  }
  EXPECT_NE(results[0], results[1]);
  EXPECT_NE(results[0], results[2]);
}

__global__ void read_before_write_kernel(float* out) {
  __shared__ float value;
  out[threadIdx.x] = value;
  __syncthreads();
  value = 1.0f;
}

TEST(Emulation, FillsSharedMemoryWithNanBeforeEachBlock) {
  Device device;
  GuardedBuffer<float> out(std::vector<float>(2, 0.0f));
  for (int i = 0; i < 2; ++i) launch_block(device, 1, read_before_write_kernel, out.data() + i);
  EXPECT_TRUE(std::isnan(out.data()[0]));
  EXPECT_TRUE(std::isnan(out.data()[1]));
}

__global__ void early_return_kernel() {
  if (threadIdx.x == 5) return;
  __syncthreads();
}

TEST(Emulation, FindsThreadsThatMissABarrier) {
  Device device;
  const std::string fault = fault_of([&] { launch_block(device, 64, early_return_kernel); });
  EXPECT_NE(fault.find("but thread (5,0,0) has ended"), std::string::npos) << fault;
  EXPECT_NE(fault.find("emulation_test.cpp:"), std::string::npos) << fault;
}

__global__ void divergent_barrier_kernel() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

TEST(Emulation, FindsDivergentBarriers) {
  Device device;
  expect_fault([&] { launch_block(device, 64, divergent_barrier_kernel); },
               "but thread (32,0,0) at the one at emulation_test.cpp:");
}

__global__ void absent_lane_kernel() {
  if (threadIdx.x < 16) __syncwarp();
}

TEST(Emulation, FindsWarpCallsThatALaneNeverReaches) {
  for (const Schedule& schedule : kSchedules) {
    Device device(schedule);
    expect_fault([&] { launch_block(device, 32, absent_lane_kernel); }, "in the warp call at");
  }
}

__global__ void partial_warp_kernel(int* out) { out[threadIdx.x] = __shfl_xor_sync(kAll, 1, 1); }

TEST(Emulation, FindsMasksThatNameLanesBehindTheBlock) {
  Device device;
  GuardedBuffer<int> out(20);
  expect_fault([&] { launch_block(device, 20, partial_warp_kernel, out.data()); }, "lane 20");
}

__global__ void foreign_lane_kernel() {
  if (threadIdx.x < 4) __shfl_sync(0xfu, 1, 9);
}

TEST(Emulation, FindsReadsFromLanesOutsideTheMask) {
  Device device;
  expect_fault([&] { launch_block(device, 32, foreign_lane_kernel); },
               "reads lane 9, which is not in the mask");
}

__global__ void outsider_kernel() { __syncwarp(0xffu); }

TEST(Emulation, FindsCallersOutsideTheirMask) {
  Device device(Schedule{Order::kReverse});
  expect_fault([&] { launch_block(device, 32, outsider_kernel); }, "is not in the mask");
}

__global__ void mixed_wait_kernel() {
  if (threadIdx.x == 0) __syncthreads();
  __syncwarp();
  if (threadIdx.x != 0) __syncthreads();
}

TEST(Emulation, FindsADeadlockOfBarrierAndWarpCall) {
  Device device;
  expect_fault([&] { launch_block(device, 32, mixed_wait_kernel); }, "waits for ever");
}

__global__ void fill_kernel(float* out, int count) {
  if (static_cast<int>(threadIdx.x) < count) out[threadIdx.x] = 1.0f;
}

TEST(Emulation, StopsAtWritesPastABuffer) {
  Device device;
  GuardedBuffer<float> out(60);
  launch_block(device, 64, fill_kernel, out.data(), 60);
  EXPECT_TRUE(out.intact());
  expect_fault([&] { launch_block(device, 64, fill_kernel, out.data(), 64); },
               "thread (60,0,0) of block (0,0,0) touches memory outside its buffers");
}

TEST(Emulation, SeesWritesIntoTheLastBytesOfAlignment) {
  Device device;
  GuardedBuffer<float> out(61);
  launch_block(device, 64, fill_kernel, out.data(), 62);
  EXPECT_FALSE(out.intact());
}

TEST(Emulation, SeesWritesBeforeABuffer) {
  Device device;
  GuardedBuffer<float> out(61);
  launch_block(device, 1, fill_kernel, out.data() - 1, 1);
  EXPECT_FALSE(out.intact());
}

__global__ void read_kernel(const int* x, int* out) { *out = x[1 << 10]; }

TEST(Emulation, StopsAtReadsPastABuffer) {
  Device device;
  GuardedBuffer<int> x(1 << 10);
  GuardedBuffer<int> out(1);
  expect_fault([&] { launch_block(device, 1, read_kernel, x.data(), out.data()); }, "outside");
}

TEST(Emulation, StopsAtNullPointers) {
  Device device;
  float* const null = nullptr;
  expect_fault([&] { launch_block(device, 1, fill_kernel, null, 1); }, "at 0");
}

TEST(Emulation, RefusesPointersIntoOtherMemory) {
  Device device;
  std::vector<float> out(8);
  expect_fault([&] { launch_block(device, 8, fill_kernel, out.data(), 8); },
               "no GuardedBuffer owns");
  Device careless(Schedule(), Memory::kAny);
  launch_block(careless, 8, fill_kernel, out.data(), 8);
  EXPECT_EQ(out, std::vector<float>(8, 1.0f));
}

TEST(Emulation, RefusesPointersIntoABufferThatIsGone) {
  Device device;
  float* gone = nullptr;
  {
    GuardedBuffer<float> out(8);
    gone = out.data();
    EXPECT_TRUE(in_guarded_buffer(gone));
  }
  expect_fault([&] { launch_block(device, 8, fill_kernel, gone, 8); }, "no GuardedBuffer owns");
}

__global__ void vector_kernel(float* out) {
  *reinterpret_cast<float4*>(out) = make_float4(1, 2, 3, 4);
}

TEST(Emulation, StopsAtVectorsThatAreNotAligned) {
  Device device;
  GuardedBuffer<float> out(8);
  launch_block(device, 1, vector_kernel, out.data());
  expect_fault([&] { launch_block(device, 1, vector_kernel, out.data() + 1); }, "not aligned");
}

TEST(Emulation, StopsAtAccessesBehindDynamicSharedMemory) {
  Device device;
  GuardedBuffer<int> values(64);
  const auto run = [&] {
    launch(race_kernel, 1, 64, 32 * sizeof(int), Stream{device.handle()}, values.data());
  };
  expect_fault(run, "touches memory outside");
}

TEST(Emulation, RunsAgainAfterAFault) {
  Device device;
  fault_of([&] { launch_block(device, 64, early_return_kernel); });
  GuardedBuffer<float> out(8);
  launch_block(device, 8, fill_kernel, out.data(), 8);
  EXPECT_EQ(out.read(), std::vector<float>(8, 1.0f));
}

TEST(Emulation, RefusesBlocksThatNoGpuRuns) {
  Device device;
  GuardedBuffer<float> out(8);
  expect_fault([&] { launch_block(device, 1025, fill_kernel, out.data(), 8); },
               "1025 threads cannot be launched");
}

TEST(Emulation, RefusesAStreamWithoutDevice) {
  expect_fault([] { launch(early_return_kernel, 1, 1, 0, Stream{}); }, "no emulated device");
}

}  // namespace
}  // namespace rung::emulation
