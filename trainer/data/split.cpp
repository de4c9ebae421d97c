#include "data/split.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <numeric>
#include <utility>

namespace rung::data {
namespace {

int64_t length_of(const MicroBatch& batch, int64_t document) {
  const auto i = static_cast<size_t>(document);
  return batch.cu_seqlens[i + 1] - batch.cu_seqlens[i];
}

// Documents by length, longest first; equal ones in their order.
std::vector<int64_t> by_length(const MicroBatch& batch) {
  std::vector<int64_t> order(batch.documents.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](int64_t i) { return length_of(batch, i); });
  return order;
}

// Documents of these lengths cut where a part would have more than `capacity` tokens: how many go
// into each part.
std::vector<int64_t> cut(std::span<const int64_t> lengths, int64_t capacity) {
  std::vector<int64_t> parts;
  int64_t tokens = capacity;
  for (const int64_t length : lengths) {
    if (parts.empty() || tokens + length > capacity) {
      parts.push_back(0);
      tokens = 0;
    }
    ++parts.back();
    tokens += length;
  }
  return parts;
}

}  // namespace

int64_t largest_part(std::span<const int64_t> lengths, int64_t parts) {
  int64_t low = lengths.front();
  int64_t high = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (std::ssize(cut(lengths, middle)) <= parts) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

std::vector<MicroBatch> split_micro_batch(const MicroBatch& batch, int64_t parts) {
  assert(parts >= 1);
  if (parts == 1 || batch.documents.size() < 2) return {batch};
  const std::vector<int64_t> order = by_length(batch);
  std::vector<int64_t> lengths;
  for (const int64_t document : order) lengths.push_back(length_of(batch, document));
  std::vector<MicroBatch> result;
  std::span<const int64_t> left = order;
  for (const int64_t count : cut(lengths, largest_part(lengths, parts))) {
    result.push_back(select_documents(batch, left.first(static_cast<size_t>(count))));
    left = left.subspan(static_cast<size_t>(count));
  }
  return result;
}

MicroBatch select_documents(const MicroBatch& batch, std::span<const int64_t> places) {
  MicroBatch part{.cu_seqlens = {0}};
  for (const int64_t document : places) {
    const auto append = [&](auto& to, const auto& from) {
      const int64_t begin = batch.cu_seqlens[static_cast<size_t>(document)];
      to.insert(to.end(), from.begin() + begin, from.begin() + begin + length_of(batch, document));
    };
    append(part.input_ids, batch.input_ids);
    append(part.targets, batch.targets);
    append(part.positions, batch.positions);
    part.cu_seqlens.push_back(static_cast<int32_t>(part.input_ids.size()));
    part.documents.push_back(batch.documents[static_cast<size_t>(document)]);
  }
  return part;
}

StepBatch split_step(const StepBatch& batch, int64_t parts) {
  StepBatch result{.micro_batches = {}, .epoch = batch.epoch};
  for (const MicroBatch& whole : batch.micro_batches) {
    for (MicroBatch& part : split_micro_batch(whole, parts)) {
      result.micro_batches.push_back(std::move(part));
    }
  }
  return result;
}

}  // namespace rung::data
