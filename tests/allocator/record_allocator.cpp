// Records what LibTorch's CUDA caching allocator does: calls in, its statistics after each out.
//
//   rung_record_allocator SETTINGS LIMIT PLACEMENT < calls > recording
//
// SETTINGS are LibTorch's own ("expandable_segments:True"; "-" for the defaults), LIMIT is bytes it
// may reserve (0: none), PLACEMENT "above" or "below". A call is a line "+ ID BYTES STREAM",
// "- ID", "release" or "reset"; a line of the recording is "FITS" (1 or 0) and the figures that
// write_stats lists. It needs no GPU: it brings one of its own (fake_cuda.h).
#include <c10/core/AllocatorConfig.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "tests/allocator/fake_cuda.h"

namespace {

namespace caching = c10::cuda::CUDACachingAllocator;
using rung::testing::fake_gpu;
using rung::testing::Placement;

class Recorder {
 public:
  // False where LibTorch says that it does not fit.
  bool allocate(uint64_t id, size_t bytes, uintptr_t stream) {
    try {
      const auto fake_stream = reinterpret_cast<cudaStream_t>(stream);
      held_[id] = caching::raw_alloc_with_stream(bytes, fake_stream);
      return true;
    } catch (const c10::OutOfMemoryError&) {
      return false;
    }
  }
  void free(uint64_t id) {
    const auto held = held_.find(id);
    if (held == held_.end()) return;
    caching::raw_delete(held->second);
    held_.erase(held);
  }

 private:
  std::unordered_map<uint64_t, void*> held_;
};

void write_stats(bool fits) {
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const auto stats = caching::getDeviceStats(0);
  std::cout << fits << ' ' << stats.reserved_bytes[kAll].current << ' '
            << stats.reserved_bytes[kAll].peak << ' ' << stats.allocated_bytes[kAll].current << ' '
            << stats.allocated_bytes[kAll].peak << ' ' << stats.inactive_split_bytes[kAll].current
            << ' ' << stats.segment[kAll].current << ' ' << stats.num_alloc_retries << ' '
            << stats.num_ooms << ' ' << fake_gpu().used << '\n';
}

void record(std::istream& calls) {
  Recorder recorder;
  std::string word;
  while (calls >> word) {
    bool fits = true;
    uint64_t id = 0;
    if (word == "+") {
      size_t bytes = 0;
      uintptr_t stream = 0;
      calls >> id >> bytes >> stream;
      fits = recorder.allocate(id, bytes, stream);
    } else if (word == "-") {
      calls >> id;
      recorder.free(id);
    } else if (word == "release") {
      caching::emptyCache();
    } else if (word == "reset") {
      caching::resetPeakStats(0);
    } else {
      throw std::invalid_argument("no such call: " + word);
    }
    write_stats(fits);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: rung_record_allocator SETTINGS LIMIT PLACEMENT < calls\n";
    return 2;
  }
  const std::string settings = argv[1];
  const double limit = std::stod(argv[2]);
  if (std::string(argv[3]) == "below") fake_gpu().placement = Placement::kBelow;
  if (settings != "-") c10::CachingAllocator::setAllocatorSettings(settings);
  caching::init(/*device_count=*/1);
  if (limit > 0) caching::setMemoryFraction(limit / static_cast<double>(fake_gpu().total), 0);
  record(std::cin);
  return 0;
}
