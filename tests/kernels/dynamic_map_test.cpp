#include "kernels/dynamic_map.h"

#include <limits>

#include "tests/reference/dynamic_map.h"
#include "tests/support/kernel_inputs.h"

namespace rung {
namespace {

using kernels::DynamicCoder;
using kernels::MapSign;

class DynamicMap : public ::testing::TestWithParam<MapSign> {
 protected:
  bool is_signed() const { return GetParam() == MapSign::kSigned; }
  int zero_code() const {
    return is_signed() ? kernels::kSignedZeroCode : kernels::kUnsignedZeroCode;
  }
  std::vector<float> map() const {
    const float* values = kernels::dynamic_map(GetParam());
    return {values, values + 256};
  }
};

TEST_P(DynamicMap, HasTheValuesOfItsDefinition) {
  EXPECT_TRUE(testing::close(map(), reference::dynamic_map(is_signed()), {.relative = 3e-7}));
}

TEST_P(DynamicMap, HasZeroAndOneExactly) {
  EXPECT_EQ(map()[static_cast<size_t>(zero_code())], 0.0f);
  EXPECT_EQ(map()[255], 1.0f);
}

TEST_P(DynamicMap, EveryValueHasItsOwnIndex) {
  const DynamicCoder coder(GetParam());
  for (int code = zero_code(); code < 256; ++code) {
    const float value = map()[static_cast<size_t>(code)];
    EXPECT_EQ(kernels::cpu::dynamic_index(value, coder), code - zero_code()) << value;
  }
}

// From one eighth of the smallest value up, evenly in the logarithm, and the middles between
// neighbours from both sides.
TEST_P(DynamicMap, IndexIsTheNearestValue) {
  const DynamicCoder coder(GetParam());
  const std::vector<float> values = map();
  const std::vector<double> exact(values.begin(), values.end());
  std::vector<float> inputs;
  for (double x = 4e-8; x < 1.0; x *= 1.0007) inputs.push_back(static_cast<float>(x));
  for (size_t code = static_cast<size_t>(zero_code()); code < 255; ++code) {
    const float middle = 0.5f * (values[code] + values[code + 1]);
    inputs.push_back(middle * (1.0f - 1e-5f));
    inputs.push_back(middle * (1.0f + 1e-5f));
  }
  for (const float x : inputs) {
    const int code = zero_code() + kernels::cpu::dynamic_index(x, coder);
    const double distance = std::abs(x - exact[static_cast<size_t>(code)]);
    // Float rounding of x * scale + offset: 2^-24 of an index up to 255, in steps of the map.
    EXPECT_LE(distance, reference::distance_to_map(x, exact) + 2e-6 * x) << x;
  }
}

TEST_P(DynamicMap, IndexOfWhatIsNotInTheMapIsAnEnd) {
  const DynamicCoder coder(GetParam());
  EXPECT_EQ(kernels::cpu::dynamic_index(1.0000001f, coder), 255 - zero_code());
  EXPECT_EQ(kernels::cpu::dynamic_index(1e-30f, coder), 0);
  EXPECT_EQ(kernels::cpu::dynamic_index(0.0f, coder), 0);
  EXPECT_EQ(kernels::cpu::dynamic_index(std::numeric_limits<float>::quiet_NaN(), coder), 0);
}

INSTANTIATE_TEST_SUITE_P(Signs, DynamicMap,
                         ::testing::Values(MapSign::kSigned, MapSign::kUnsigned));

}  // namespace
}  // namespace rung
