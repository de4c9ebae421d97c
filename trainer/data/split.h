// Cutting micro-batches between their documents. A step over the parts has the same loss and the
// same dropout masks as over the whole, and sums of gradients in another order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/loader.h"

namespace rung::data {

// `batch` as at most `parts` micro-batches: documents by length, longest first, cut so that the
// largest part is as small as can be. The parts depend on the lengths alone, and a batch whose
// documents are shorter has no larger ones: a plan for the longest documents holds for all. Fewer
// parts where it has fewer documents.
std::vector<MicroBatch> split_micro_batch(const MicroBatch& batch, int64_t parts);

// Tokens of the largest of those parts, from the lengths of the documents alone: at least one, the
// longest first. Shorter or fewer documents make no larger part.
int64_t largest_part(std::span<const int64_t> lengths, int64_t parts);

// The documents of `batch` at these places in it, in this order.
MicroBatch select_documents(const MicroBatch& batch, std::span<const int64_t> places);

// Every micro-batch of `batch` cut like that.
StepBatch split_step(const StepBatch& batch, int64_t parts);

}  // namespace rung::data
