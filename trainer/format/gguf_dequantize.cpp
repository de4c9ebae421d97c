#include "format/gguf_dequantize.h"

#include <cassert>
#include <cstdint>
#include <cstring>

#include "format/float_convert.h"

namespace rung::format {

namespace {

constexpr size_t kBlockValues = 32;

uint16_t load_u16(const std::byte* bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

float load_half(const std::byte* bytes) { return half_to_float(load_u16(bytes)); }

// Calls write(i, q) for the 32 4-bit values q of a block.
template <typename Write>
void for_each_nibble(const std::byte* packed, const Write& write) {
  for (size_t i = 0; i < kBlockValues / 2; ++i) {
    const auto byte = std::to_integer<int>(packed[i]);
    write(i, byte & 15);
    write(i + kBlockValues / 2, byte >> 4);
  }
}

void dequantize_q4_0(const std::byte* block, float* out) {
  const float scale = load_half(block);
  for_each_nibble(block + 2, [&](size_t i, int q) { out[i] = scale * static_cast<float>(q - 8); });
}

void dequantize_q4_1(const std::byte* block, float* out) {
  const float scale = load_half(block);
  const float minimum = load_half(block + 2);
  for_each_nibble(block + 4,
                  [&](size_t i, int q) { out[i] = scale * static_cast<float>(q) + minimum; });
}

void dequantize_q8_0(const std::byte* block, float* out) {
  const float scale = load_half(block);
  for (size_t i = 0; i < kBlockValues; ++i) {
    out[i] = scale * static_cast<float>(std::to_integer<int8_t>(block[2 + i]));
  }
}

void dequantize_block(GgmlType type, const std::byte* block, float* out) {
  switch (type) {
    case GgmlType::kF32:
      std::memcpy(out, block, sizeof *out);
      return;
    case GgmlType::kF16:
      *out = load_half(block);
      return;
    case GgmlType::kBF16:
      *out = bfloat16_to_float(load_u16(block));
      return;
    case GgmlType::kQ4_0:
      return dequantize_q4_0(block, out);
    case GgmlType::kQ4_1:
      return dequantize_q4_1(block, out);
    case GgmlType::kQ8_0:
      return dequantize_q8_0(block, out);
  }
}

}  // namespace

void dequantize(GgmlType type, std::span<const std::byte> stored, std::span<float> out) {
  const GgmlBlock block = block_of(type);
  const size_t values = static_cast<size_t>(block.values);
  const size_t bytes = static_cast<size_t>(block.bytes);
  assert(out.size() % values == 0 && stored.size() == out.size() / values * bytes);
  for (size_t i = 0; i < out.size() / values; ++i) {
    dequantize_block(type, stored.data() + i * bytes, out.data() + i * values);
  }
}

}  // namespace rung::format
