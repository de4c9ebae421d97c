// NF4 in double precision, by the definition: the nearest of 16 values, scaled by the block's
// largest magnitude. What the kernels are held to; knows nothing of their order of operations.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace rung::reference {

// As printed in the QLoRA paper's code, to float precision.
inline constexpr double kNf4[16] = {-1.0,
                                    -0.6961928009986877,
                                    -0.5250730514526367,
                                    -0.39491748809814453,
                                    -0.28444138169288635,
                                    -0.18477343022823334,
                                    -0.09105003625154495,
                                    0.0,
                                    0.07958029955625534,
                                    0.16093020141124725,
                                    0.24611230194568634,
                                    0.33791524171829224,
                                    0.44070982933044434,
                                    0.5626170039176941,
                                    0.7229568362236023,
                                    1.0};

struct Nf4Codes {
  std::vector<int> codes;       // [n], not packed
  std::vector<double> absmax;   // [ceil(n / 64)]
  std::vector<double> margins;  // [n] distance of x / absmax to the nearest boundary of codes
};

inline Nf4Codes nf4_quantize(const std::vector<double>& x) {
  Nf4Codes result;
  for (size_t first = 0; first < x.size(); first += 64) {
    const size_t last = std::min(first + 64, x.size());
    double absmax = 0.0;
    for (size_t i = first; i < last; ++i) absmax = std::max(absmax, std::fabs(x[i]));
    result.absmax.push_back(absmax);
    for (size_t i = first; i < last; ++i) {
      const double scaled = absmax == 0.0 ? 0.0 : x[i] / absmax;
      int nearest = 0;
      double margin = 2.0;
      for (int k = 0; k < 16; ++k) {
        if (std::fabs(scaled - kNf4[k]) < std::fabs(scaled - kNf4[nearest])) nearest = k;
        if (k > 0) margin = std::min(margin, std::fabs(scaled - (kNf4[k - 1] + kNf4[k]) / 2));
      }
      result.codes.push_back(nearest);
      result.margins.push_back(margin);
    }
  }
  return result;
}

// codes [ceil(n / 2)] packed, absmax [ceil(n / 64)] -> [n], not rounded to any storage type.
inline std::vector<double> nf4_dequantize(const std::vector<uint8_t>& codes,
                                          const std::vector<double>& absmax, size_t n) {
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) {
    const int code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
    values[i] = kNf4[code] * absmax[i / 64];
  }
  return values;
}

}  // namespace rung::reference
