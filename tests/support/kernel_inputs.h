// Inputs of kernel tests: random values already rounded to the tested dtype, and their widening for
// the reference.
#pragma once

#include <omp.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "kernels/dtype.h"
#include "tests/support/compare.h"

namespace rung::testing {

// Normally distributed values of standard deviation `scale`.
template <typename T>
std::vector<T> random_values(int64_t count, uint64_t seed, double scale = 1.0) {
  const CounterRandom random(seed, stream_of("kernel inputs"));
  std::vector<T> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    values[static_cast<size_t>(i)] =
        kernels::from_float<T>(static_cast<float>(scale * random.normal(static_cast<uint64_t>(i))));
  }
  return values;
}

// What lies in the gaps behind rows before a kernel runs, and has to lie there afterwards.
inline constexpr float kUntouched = 7.0f;

template <typename T>
std::vector<T> untouched(size_t count) {
  return std::vector<T>(count, kernels::from_float<T>(kUntouched));
}

template <typename T>
std::vector<double> widen(const std::vector<T>& values) {
  std::vector<double> result;
  result.reserve(values.size());
  for (const T value : values) result.push_back(as_double(value));
  return result;
}

// Values as they are stored, for comparisons in which every bit counts.
template <typename T>
std::vector<uint32_t> bits_of(const std::vector<T>& values) {
  std::vector<uint32_t> bits(values.size());
  for (size_t i = 0; i < values.size(); ++i) std::memcpy(&bits[i], &values[i], sizeof(T));
  return bits;
}

// Runs `action` with `count` OpenMP threads.
template <typename Action>
void with_threads(int count, const Action& action) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(count);
  action();
  omp_set_num_threads(before);
}

}  // namespace rung::testing
