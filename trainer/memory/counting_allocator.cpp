#include "memory/counting_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <new>

namespace rung::memory {
namespace {

constexpr int64_t kMapFrom = int64_t{1} << 20;       // bytes: larger blocks are mapped
constexpr int64_t kAlwaysKept = int64_t{256} << 20;  // bytes of freed mapped blocks, see trim()
constexpr int64_t kHugePagesFrom = int64_t{4}
                                   << 20;  // bytes: ask for huge pages, fewer faults and TLB misses

// Stands in the kAlignment bytes before the data: the interface wants the data pointer itself as
// context.
struct BlockHeader {
  int64_t counted;  // bytes
  int64_t mapped;   // bytes of the mapping, 0 where malloc gave the block
  Component component;
};
static_assert(sizeof(BlockHeader) <= kAlignment);

int64_t round_up(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

BlockHeader* header_of(void* data) {
  return reinterpret_cast<BlockHeader*>(static_cast<std::byte*>(data) - kAlignment);
}

// Mapped blocks that are in use, as a count, and freed ones, the latest first. Those are few enough
// (hundreds) to be searched one by one.
class MappedBlocks {
 public:
  // A kept block of exactly this size, or null: then the caller maps one, for which there is room
  // now, and says so.
  void* take(int64_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(kept_, bytes, &Kept::bytes);
    if (found == kept_.end()) {
      trim(bytes);
      return nullptr;
    }
    void* block = found->block;
    kept_bytes_ -= bytes;
    kept_.erase(found);
    use(bytes);
    return block;
  }

  // The system gave a block of this size.
  void mapped(int64_t bytes) {
    const std::lock_guard lock(mutex_);
    use(bytes);
  }

  // The block is free: kept, or the oldest ones make room for it.
  void keep(void* block, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    used_bytes_ -= bytes;
    kept_.push_front({block, bytes});
    kept_bytes_ += bytes;
    trim(0);
  }

  int64_t kept_bytes() const {
    const std::lock_guard lock(mutex_);
    return kept_bytes_;
  }

  void release() {
    const std::lock_guard lock(mutex_);
    while (!kept_.empty()) drop_oldest();
    most_used_ = used_bytes_;
  }

 private:
  struct Kept {
    void* block;
    int64_t bytes;
  };

  void use(int64_t bytes) {
    used_bytes_ += bytes;
    most_used_ = std::max(most_used_, used_bytes_);
  }

  // What a step has freed is what the next one asks for. Kept and used blocks together, `wanted`
  // bytes more among these, stay within what was in use at once before, so that keeping does not
  // raise the process's peak, or within kAlwaysKept of what is in use.
  void trim(int64_t wanted) {
    while (kept_bytes_ > std::max(kAlwaysKept, most_used_ - used_bytes_ - wanted)) drop_oldest();
  }

  void drop_oldest() {
    munmap(kept_.back().block, static_cast<size_t>(kept_.back().bytes));
    kept_bytes_ -= kept_.back().bytes;
    kept_.pop_back();
  }

  mutable std::mutex mutex_;
  std::deque<Kept> kept_;
  int64_t kept_bytes_ = 0;
  int64_t used_bytes_ = 0;
  int64_t most_used_ = 0;  // since the last release
};

MappedBlocks& mapped_blocks() {
  static auto* blocks = new MappedBlocks;  // never destroyed: tensors may be freed during exit
  return *blocks;
}

void* map_block(int64_t bytes) {
  if (void* reused = mapped_blocks().take(bytes)) return reused;
  void* block = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) return nullptr;
  mapped_blocks().mapped(bytes);
  if (bytes >= kHugePagesFrom) madvise(block, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  return block;
}

// Null where the system refuses it.
BlockHeader* make_block(int64_t counted, Component component) {
  const int64_t total = counted + kAlignment;
  const bool map = total >= kMapFrom;
  void* block = map ? map_block(total) : std::aligned_alloc(kAlignment, static_cast<size_t>(total));
  if (block == nullptr) return nullptr;
  return new (block) BlockHeader{counted, map ? total : 0, component};
}

void return_block(BlockHeader* header) {
  if (header->mapped > 0) {
    mapped_blocks().keep(header, header->mapped);
  } else {
    std::free(header);
  }
}

void free_block(void* data) {
  if (data == nullptr) return;
  BlockHeader* header = header_of(data);
  cpu_counter().remove(header->counted, header->component);
  return_block(header);
}

// Before a block is asked of the system, for which freed ones would have to go.
bool is_past_limit(const Counter& counter, int64_t bytes) {
  const int64_t limit = counter.limit();
  if (limit == 0) return false;
  const Usage usage = counter.usage();
  return usage.live + usage.library + bytes > limit;
}

[[noreturn]] void throw_out_of_memory(const Counter& counter, size_t bytes, const char* device) {
  const Usage usage = counter.usage();
  C10_THROW_ERROR(OutOfMemoryError,
                  c10::str(device, " memory: ", bytes, " bytes asked for, ",
                           usage.live + usage.library, " in use, limit ", counter.limit()));
}

class CpuAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &free_block, c10::Device(c10::DeviceType::CPU)};
    const int64_t counted = round_up(static_cast<int64_t>(bytes));
    const Component component = ComponentScope::current();
    if (is_past_limit(cpu_counter(), counted)) throw_out_of_memory(cpu_counter(), bytes, "CPU");
    BlockHeader* header = make_block(counted, component);
    if (header == nullptr) {  // kept blocks may be what there is no room for
      release_kept_blocks();
      header = make_block(counted, component);
    }
    if (header == nullptr) throw_out_of_memory(cpu_counter(), bytes, "CPU");
    // Counted once it is there: what the system refuses is no part of a peak.
    if (!cpu_counter().add(counted, component)) {
      return_block(header);
      throw_out_of_memory(cpu_counter(), bytes, "CPU");
    }
    void* data = reinterpret_cast<std::byte*>(header) + kAlignment;
    return {data, data, &free_block, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &free_block; }

  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};

// Null but while a MetaObservation lives: allocating asks one load for it.
std::atomic<AllocationObserver*> meta_observer = nullptr;

struct MetaBlock {
  int64_t counted;
  Component component;
};

uint64_t id_of(const MetaBlock* block) { return reinterpret_cast<uintptr_t>(block); }

void free_meta_block(void* context) {
  auto* block = static_cast<MetaBlock*>(context);
  if (block == nullptr) return;
  meta_counter().remove(block->counted, block->component);
  if (AllocationObserver* observer = meta_observer) observer->freed(id_of(block));
  delete block;
}

// The shape-only device: counts, and hands out no memory.
class MetaAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device device(c10::DeviceType::Meta);
    if (bytes == 0) return {nullptr, nullptr, &free_meta_block, device};
    const int64_t counted = round_up(static_cast<int64_t>(bytes));
    const Component component = ComponentScope::current();
    if (!meta_counter().add(counted, component)) throw_out_of_memory(meta_counter(), bytes, "meta");
    auto* block = new MetaBlock{counted, component};
    if (AllocationObserver* observer = meta_observer) {
      observer->allocated(id_of(block), static_cast<int64_t>(bytes));
    }
    return {nullptr, block, &free_meta_block, device};
  }

  c10::DeleterFnPtr raw_deleter() const override { return nullptr; }

  void copy_data(void*, const void*, size_t) const override {}
};

}  // namespace

void install_counting_allocators() {
  // The higher priority wins over the allocator that LibTorch registered for itself.
  static auto* cpu = new CpuAllocator;
  static auto* meta = new MetaAllocator;
  c10::SetCPUAllocator(cpu, /*priority=*/255);
  c10::SetAllocator(c10::DeviceType::Meta, meta, /*priority=*/255);
}

void release_kept_blocks() { mapped_blocks().release(); }
int64_t kept_block_bytes() { return mapped_blocks().kept_bytes(); }

Counter& cpu_counter() {
  static auto* counter = new Counter;
  return *counter;
}

Counter& meta_counter() {
  static auto* counter = new Counter;
  return *counter;
}

Counter& cuda_counter() {
  static auto* counter = new Counter;
  return *counter;
}

MetaObservation::MetaObservation(AllocationObserver& observer) {
  [[maybe_unused]] AllocationObserver* before = meta_observer.exchange(&observer);
  assert(before == nullptr);
}

MetaObservation::~MetaObservation() { meta_observer = nullptr; }

}  // namespace rung::memory
