#include "fit/device_peak.h"

#include "memory/counting_allocator.h"
#include "memory/transfers.h"

namespace rung::fit {
namespace {

// Feeds the allocator's model. What does not fit is counted as a failure, and the run goes on.
class CachingObserver final : public memory::AllocationObserver {
 public:
  explicit CachingObserver(const memory::CachingOptions& options) : model_(options) {}
  void allocated(uint64_t id, int64_t bytes) override { model_.allocate(id, bytes); }
  void freed(uint64_t id) override { model_.free(id); }
  memory::CachingStats stats() const { return model_.stats(); }

 private:
  memory::CachingModel model_;
};

}  // namespace

CudaMemory observe_cuda(const std::function<memory::Usage()>& meta_run,
                        const memory::CachingOptions& options) {
  CachingObserver observer(options);
  const memory::MetaObservation observation(observer);
  const memory::Usage counted = meta_run();
  return {.counted = counted, .caching = observer.stats()};
}

int64_t device_peak(c10::DeviceType device, const std::function<memory::Usage()>& meta_run) {
  if (device != c10::kCUDA) return meta_run().peak;
  const int64_t reserved = observe_cuda(meta_run, kCudaCaching).caching.reserved_peak;
  return reserved +
         memory::transfers_of(c10::kMeta).pinned_counter().usage().peak / kPinnedBytesOfATableByte;
}

}  // namespace rung::fit
