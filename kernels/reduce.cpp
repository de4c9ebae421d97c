// Sums on the CPU: pieces of fixed size, added up in order.
#include "kernels/reduce.h"

#include <vector>

#include "kernels/parallel.h"
#include "kernels/simd.h"

namespace rung::kernels::cpu {

namespace {

constexpr int64_t kPiece = 65536;

RUNG_SIMD_CLONES double piece_sum_of_squares(const float* x, int64_t n) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    const double value = x[i];
    sum += value * value;
  }
  return sum;
}

RUNG_SIMD_CLONES double piece_sum(const float* x, int64_t n) {
  double sum = 0.0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
  return sum;
}

template <typename PieceSum>
double sum_pieces(const float* x, int64_t n, const PieceSum& piece_sum_of) {
  std::vector<double> sums(static_cast<size_t>((n + kPiece - 1) / kPiece));
  parallel_for(n, kPiece, [&](int64_t begin, int64_t end) {
    sums[static_cast<size_t>(begin / kPiece)] = piece_sum_of(x + begin, end - begin);
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

double sum_of_squares(const float* x, int64_t n) { return sum_pieces(x, n, piece_sum_of_squares); }

double sum(const float* x, int64_t n) { return sum_pieces(x, n, piece_sum); }

}  // namespace rung::kernels::cpu
