// The state of 8-bit AdamW, as the tests of both devices hold it.
#pragma once

#include <vector>

#include "kernels/adamw_8bit.h"
#include "tests/support/kernel_inputs.h"

namespace rung::testing {

struct AdamW8bitState {
  explicit AdamW8bitState(std::vector<float> initial)
      : param(std::move(initial)),
        m_codes(param.size(), kernels::kAdamW8bitZeroM),
        v_codes(param.size(), kernels::kAdamW8bitZeroV),
        m_absmax((param.size() + 255) / 256, kernels::kAdamW8bitZeroAbsmax),
        v_absmax(m_absmax) {}

  void update(const std::vector<float>& grad, const kernels::AdamWParams& params) {
    kernels::cpu::adamw_8bit(param.data(), grad.data(), m_codes.data(), m_absmax.data(),
                             v_codes.data(), v_absmax.data(), static_cast<int64_t>(param.size()),
                             params);
  }

  float m(size_t i) const {
    return kernels::dynamic_map(kernels::MapSign::kSigned)[m_codes[i]] * m_absmax[i / 256];
  }
  float v(size_t i) const {
    return kernels::dynamic_map(kernels::MapSign::kUnsigned)[v_codes[i]] * v_absmax[i / 256];
  }

  bool operator==(const AdamW8bitState&) const = default;

  std::vector<float> param;
  std::vector<uint8_t> m_codes;
  std::vector<uint8_t> v_codes;
  std::vector<float> m_absmax;
  std::vector<float> v_absmax;
};

// Gradients over six decades, some of them 0.
inline std::vector<float> spread_gradients(int64_t n, uint64_t seed) {
  auto grad = random_values<float>(n, seed);
  for (size_t i = 0; i < grad.size(); ++i) {
    grad[i] *= i % 13 == 5 ? 0.0f : std::pow(10.0f, -static_cast<float>(i % 7));
  }
  return grad;
}

}  // namespace rung::testing
