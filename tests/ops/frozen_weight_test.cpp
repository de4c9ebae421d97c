#include "ops/frozen_weight.h"

#include <ATen/ATen.h>

#include "ops/rows.h"
#include "tests/support/counting.h"
#include "tests/support/tensors.h"

namespace rung::ops {
namespace {

using rung::testing::random_tensor;
using rung::testing::relative_error;

// 33 * 65 is no multiple of 64: the last block is short.
constexpr int64_t kOut = 33;
constexpr int64_t kIn = 65;

int64_t total_bytes(const Nf4Tensors& tensors) {
  int64_t bytes = 0;
  for (const at::Tensor* tensor : {&tensors.codes, &tensors.absmax, &tensors.absmax_codes,
                                   &tensors.nested_absmax, &tensors.nested_map}) {
    if (tensor->defined()) bytes += static_cast<int64_t>(tensor->nbytes());
  }
  return bytes;
}

TEST(FrozenWeight, DenseIsWrittenAsItIs) {
  const at::Tensor dense = random_tensor({kOut, kIn}, 1, at::kBFloat16);
  const FrozenWeight weight = FrozenWeight::from_dense(dense);
  EXPECT_FALSE(weight.quantized());
  at::Tensor out = at::empty({kOut, kIn}, at::kBFloat16);
  weight.write_to(out);
  EXPECT_TRUE(out.equal(dense));
}

class FrozenNf4 : public ::testing::TestWithParam<DoubleQuant> {};

// The steps of NF4 are up to 0.3 of a block's largest value apart: a normal weight comes back
// within 10 % (relative L2); the second quantisation adds little.
TEST_P(FrozenNf4, ComesBackWithinTheStepsOfNf4) {
  const at::Tensor dense = random_tensor({kOut, kIn}, 1);
  const FrozenWeight weight =
      FrozenWeight::from_nf4(FrozenWeight::quantize(dense, GetParam()), kOut, kIn);
  at::Tensor out = at::empty({kOut, kIn}, at::kFloat);
  weight.write_to(out);
  EXPECT_LE(relative_error(out, dense), 0.11);
  EXPECT_GE(relative_error(out, dense), 0.05);
}

TEST_P(FrozenNf4, IsRoundedOnce) {
  const FrozenWeight weight = FrozenWeight::from_nf4(
      FrozenWeight::quantize(random_tensor({kOut, kIn}, 1), GetParam()), kOut, kIn);
  at::Tensor exact = at::empty({kOut, kIn}, at::kFloat);
  at::Tensor rounded = at::empty({kOut, kIn}, at::kBFloat16);
  weight.write_to(exact);
  weight.write_to(rounded);
  EXPECT_TRUE(rounded.equal(exact.to(at::kBFloat16)));
}

TEST_P(FrozenNf4, MetaTensorsHaveTheSameBytes) {
  const Nf4Tensors cpu = FrozenWeight::quantize(random_tensor({kOut, kIn}, 1), GetParam());
  const Nf4Tensors meta = FrozenWeight::allocate_nf4(kOut * kIn, GetParam(), at::kMeta);
  EXPECT_EQ(total_bytes(meta), total_bytes(cpu));
  EXPECT_TRUE(meta.codes.is_meta());
}

TEST_P(FrozenNf4, TakesHalfAByteAValueAndItsScales) {
  const int64_t blocks = (kOut * kIn + 63) / 64;
  const int64_t codes = (kOut * kIn + 1) / 2;
  const int64_t scales =
      GetParam() == DoubleQuant::kOff ? blocks * 4 : blocks + (blocks + 255) / 256 * 4 + 256 * 4;
  EXPECT_EQ(total_bytes(FrozenWeight::allocate_nf4(kOut * kIn, GetParam(), at::kCPU)),
            codes + scales);
}

INSTANTIATE_TEST_SUITE_P(DoubleQuants, FrozenNf4,
                         ::testing::Values(DoubleQuant::kOff, DoubleQuant::kOn),
                         [](const auto& info) {
                           return info.param == DoubleQuant::kOff ? "Single" : "Double";
                         });

TEST(Rows, GatherPicksInOrderAndRepeats) {
  const at::Tensor table = random_tensor({5, 3}, 1, at::kBFloat16);
  const at::Tensor index = at::tensor({4, 0, 4}, at::kInt);
  EXPECT_TRUE(gather_rows(table, index).equal(table.index_select(0, at::tensor({4, 0, 4}))));
}

TEST(Rows, ScatterPlacesAndLeavesTheRest) {
  at::Tensor target = at::zeros({5, 3});
  const at::Tensor rows = random_tensor({2, 3}, 1);
  const at::Tensor index = at::tensor({3, 1}, at::kInt);
  scatter_rows(target, index, rows);
  EXPECT_TRUE(target[3].equal(rows[0]));
  EXPECT_TRUE(target[1].equal(rows[1]));
  EXPECT_EQ(target[0].abs().sum().item<float>() + target[2].abs().sum().item<float>() +
                target[4].abs().sum().item<float>(),
            0.0f);
}

}  // namespace
}  // namespace rung::ops
