#include "ops/upload.h"

#include <ATen/ATen.h>

#include <vector>

#include "kernels/lora_dropout.h"
#include "ops/dropout.h"
#include "ops/precision.h"
#include "tests/support/counting.h"

namespace rung::ops {
namespace {

TEST(Upload, CopiesValues) {
  const std::vector<int32_t> values = {3, -1, 2};
  const at::Tensor tensor = upload(std::span<const int32_t>(values), at::kCPU);
  EXPECT_TRUE(tensor.equal(at::tensor({3, -1, 2}, at::kInt)));
}

TEST(Upload, KeepsTheBitsOfLargeKeys) {
  const std::vector<uint64_t> keys = {~uint64_t{0}, 1};
  const at::Tensor tensor = upload(std::span<const uint64_t>(keys), at::kCPU);
  EXPECT_EQ(tensor[0].item<int64_t>(), -1);
  EXPECT_EQ(tensor[1].item<int64_t>(), 1);
}

TEST(Upload, TakesOnMetaWhatItTakesOnTheCpu) {
  const std::vector<int32_t> values(100);
  const auto taken = [&](memory::Counter& counter, c10::Device device) {
    return rung::testing::taken_by(counter,
                                   [&] { upload(std::span<const int32_t>(values), device); });
  };
  EXPECT_EQ(taken(memory::meta_counter(), at::kMeta), taken(memory::cpu_counter(), at::kCPU));
}

TEST(DropoutRowKeys, NameTheTokenAndNotItsPlace) {
  const std::vector<int64_t> documents = {8, 5};
  const std::vector<int32_t> cu_seqlens = {0, 2, 3};
  const std::vector<int32_t> positions = {0, 1, 0};
  const at::Tensor keys = dropout_row_keys({.seed = 7,
                                            .step = 3,
                                            .documents = documents,
                                            .cu_seqlens = cu_seqlens,
                                            .positions = positions},
                                           at::kCPU);
  const auto key = [&](int64_t i) { return static_cast<uint64_t>(keys[i].item<int64_t>()); };
  EXPECT_EQ(key(1), kernels::dropout_row_key(7, 3, 8, 1));
  EXPECT_EQ(key(2), kernels::dropout_row_key(7, 3, 5, 0));
}

TEST(PaddedRows, AreMultiplesForBf16GemmsOfOneDnn) {
  const Precision bf16{c10::kBFloat16, GemmKernel::kLibrary};
  EXPECT_EQ(padded_rows(0, bf16), 0);
  EXPECT_EQ(padded_rows(1, bf16), 1);
  EXPECT_EQ(padded_rows(16, bf16), 16);
  EXPECT_EQ(padded_rows(17, bf16), 64);
  EXPECT_EQ(padded_rows(64, bf16), 64);
  EXPECT_EQ(padded_rows(65, bf16), 128);
}

TEST(PaddedRows, AreTheRowsElsewhere) {
  EXPECT_EQ(padded_rows(17, {c10::kBFloat16, GemmKernel::kWidening}), 17);
  EXPECT_EQ(padded_rows(17, {c10::kBFloat16, GemmKernel::kLibrary, c10::kCUDA}), 17);
}

}  // namespace
}  // namespace rung::ops
