// Counter-based random numbers: draw i of a stream is a pure function of (seed, stream, i).
//
// Nothing has to be saved or replayed for a resume, and draws can be made in any order or in
// parallel. bits(i) is the splitmix64 generator at position i (Steele, Lea, Flood: "Fast splittable
// pseudorandom number generators", 2014) started at a hash of seed and stream. Only integer
// arithmetic and IEEE operations that round correctly (+ - * / sqrt) are used, no libm, so that
// every machine draws the same values. Not for cryptography.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace rung {

// splitmix64's output function: a bijection in which every input bit changes half the output bits.
constexpr uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// A stream number for `name` (FNV-1a, mixed), such as the name of the tensor to initialize.
uint64_t stream_of(std::string_view name);

struct Spread {
  double mean = 0.0;
  double deviation = 1.0;
};

class CounterRandom {
 public:
  CounterRandom(uint64_t seed, uint64_t stream);

  uint64_t bits(uint64_t counter) const;
  double uniform(uint64_t counter) const;                  // [0, 1), multiples of 2^-53
  uint64_t below(uint64_t counter, uint64_t bound) const;  // 0 .. bound - 1
  double normal(uint64_t counter) const;                   // mean 0, variance 1

  // Sets out[i] to a draw at counter first + i that is only nearly normal: the sum of the four
  // 16-bit parts of bits(). Mean and variance are right, the excess kurtosis is -0.3, nothing is
  // beyond 3.47 deviations. Many times faster than normal(), which is what makes random weights of
  // a large model affordable.
  void fill_near_normal(uint64_t first, const Spread& spread, std::span<float> out) const;

 private:
  uint64_t start_;
};

// 0 .. count - 1 in the order of `epoch`: a Fisher-Yates shuffle keyed by (seed, epoch).
std::vector<int64_t> shuffled_indices(int64_t count, uint64_t seed, int64_t epoch);

}  // namespace rung
