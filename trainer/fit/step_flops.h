// Floating-point operations that a training step executes in its matrix products and attention,
// counted from shapes. One multiplication with one addition is 2.
//
// With T tokens, of which R are learnt from, and documents of n tokens each:
//
//   frozen linear [out, in]   forward 2 T in out; backward as much (dX; there is no dW)
//   adapter of rank r on it   forward 2 T r (in + out): H = X A', then H B'
//                             backward 2 T r (3 in + 2 out): H again, dY B, dB, dA, (dY B) A
//   attention                 P = sum of n (n + 1) / 2 pairs of a query and a key it sees;
//                             forward 4 P heads head_dim (Q K', weights V);
//                             backward 10 P heads head_dim (Q K' again, dV, dWeights, dQ, dK)
//   output head               4 R hidden vocab (logits, dX)
//   recomputed block          its forward products again, but the last (down) with its adapter,
//                             whose value nothing reads
//
// Not counted: norms, rotary embedding, softmax, activation, dequantisation, loss, optimizer, and
// the rows and tiles that kernels pad to.
#pragma once

#include <cstdint>

#include "data/loader.h"
#include "format/model_config.h"
#include "model/adapter.h"

namespace rung::fit {

struct StepFlops {
  double linears = 0.0;     // frozen, forward and backward
  double adapters = 0.0;    // forward and backward
  double attention = 0.0;   // forward and backward
  double head = 0.0;        // forward and backward
  double recomputed = 0.0;  // the second forward pass of recomputed blocks, all of the above

  double total() const { return linears + adapters + attention + head + recomputed; }
};

// What of the documents the operations depend on.
struct StepCounts {
  double tokens = 0.0;      // T
  double supervised = 0.0;  // R
  double pairs = 0.0;       // P

  void add_document(int64_t num_tokens, int64_t num_supervised);
  // Of the same documents so many times.
  StepCounts times(double count) const {
    return {count * tokens, count * supervised, count * pairs};
  }
};

StepCounts counts_of(const data::StepBatch& batch);

// Of these documents with the first num_recomputed blocks recomputed.
StepFlops step_flops(const format::ModelConfig& model, const model::AdapterOptions& adapter,
                     const StepCounts& counts, int64_t num_recomputed);

}  // namespace rung::fit
