// Tiny random models of every family against transformers, PEFT and bitsandbytes
// (scripts/make_model_golden.py).
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include "format/adapter.h"
#include "format/safetensors.h"
#include "memory/counting_allocator.h"
#include "model/lora_targets.h"
#include "model/transformer.h"
#include "ops/head_loss.h"

namespace rung::model {
namespace {

namespace fs = std::filesystem;

// The bar of the comparison: largest difference over the largest reference value, fp32.
constexpr double kTolerance = 2e-5;

class Golden {
 public:
  explicit Golden(const fs::path& path) : file_(path) {}

  template <typename T>
  std::vector<T> read(const std::string& name) const {
    std::vector<T> values(static_cast<size_t>(file_.tensors().at(name).num_elements()));
    file_.read(name, 0, std::as_writable_bytes(std::span(values)));
    return values;
  }

 private:
  format::SafetensorsFile file_;
};

struct Case {
  std::string family;
  BaseFormat base;
  std::string prefix;  // in golden.safetensors
};

std::string name_of(const testing::TestParamInfo<Case>& info) {
  return info.param.family + (info.param.base == BaseFormat::kDense ? "Dense"
                              : info.param.base == BaseFormat::kNf4 ? "Nf4"
                                                                    : "Nf4DoubleQuant");
}

class ModelGolden : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    memory::install_counting_allocators();
    at::set_num_threads(1);
  }

  ModelGolden()
      : folder_path_(fs::path(RUNG_TEST_DATA) / "golden/model" / GetParam().family),
        golden_(folder_path_ / "golden.safetensors"),
        folder_(folder_path_),
        model_(folder_.config(), &folder_,
               {.compute = c10::kFloat, .base = GetParam().base, .max_positions = 128}) {
    const format::AdapterFolder adapter = format::read_adapter(folder_path_ / "adapter");
    AdapterOptions options{.r = adapter.config.r, .scaling = adapter.config.scaling()};
    options.modules = model_.linear_modules();
    model_.add_adapter(options);
    model_.adapter().assign(adapter);
    for (int number = 0; number < 2; ++number) {
      documents_.push_back(golden_.read<int32_t>("ids." + std::to_string(number)));
    }
  }

  data::MicroBatch batch() const {
    data::MicroBatch batch;
    batch.cu_seqlens.push_back(0);
    for (size_t d = 0; d < documents_.size(); ++d) {
      const std::vector<int32_t>& ids = documents_[d];
      for (size_t i = 0; i < ids.size(); ++i) {
        batch.input_ids.push_back(ids[i]);
        batch.targets.push_back(i + 1 < ids.size() ? ids[i + 1] : data::kIgnore);
        batch.positions.push_back(static_cast<int32_t>(i));
      }
      batch.cu_seqlens.push_back(static_cast<int32_t>(batch.input_ids.size()));
      batch.documents.push_back(static_cast<int64_t>(d));
    }
    return batch;
  }

  std::vector<float> golden(const std::string& name) const {
    return golden_.read<float>(GetParam().prefix + name);
  }

  fs::path folder_path_;
  Golden golden_;
  format::ModelFolder folder_;
  Transformer model_;
  std::vector<std::vector<int32_t>> documents_;
};

// Largest difference over the largest reference value.
double worst(std::span<const float> got, std::span<const float> expected) {
  EXPECT_EQ(got.size(), expected.size());
  double difference = 0.0;
  double largest = 0.0;
  for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(got[i]) - expected[i]));
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return difference / largest;
}

TEST_P(ModelGolden, LogitsEqualTransformers) {
  for (size_t d = 0; d < documents_.size(); ++d) {
    const std::vector<int32_t>& ids = documents_[d];
    std::vector<int32_t> positions(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) positions[i] = static_cast<int32_t>(i);
    PassContext context = model_.make_context(positions);
    const auto count = static_cast<int64_t>(ids.size());
    context.documents =
        ops::make_documents({{.q_begin = 0, .num_q = count, .k_begin = 0, .num_k = count}},
                            context.heads.kernel, at::kCPU);
    const at::Tensor logits = ops::head_logits(model_.forward(model_.embed(ids), context),
                                               model_.head(), model_.precision());
    EXPECT_LE(worst({logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel())},
                    golden("logits." + std::to_string(d))),
              kTolerance)
        << "document " << d;
  }
}

TEST_P(ModelGolden, LossAndGradientsOfPackedDocumentsEqualPeft) {
  const data::MicroBatch packed = batch();
  const auto supervised = static_cast<double>(packed.num_supervised());
  const double loss =
      model_.train(packed, {.grad_scale = static_cast<float>(1.0 / supervised)}).item<double>() /
      supervised;
  EXPECT_NEAR(loss, golden("loss").front(), 1e-5 * loss);
  for (const format::AdapterTensor& tensor : model_.adapter().gradient_tensors()) {
    EXPECT_LE(worst(tensor.a, golden("grad." + tensor.module + ".lora_A.weight")), kTolerance)
        << tensor.module << " A";
    EXPECT_LE(worst(tensor.b, golden("grad." + tensor.module + ".lora_B.weight")), kTolerance)
        << tensor.module << " B";
  }
}

TEST_P(ModelGolden, RecomputationGivesTheSameBits) {
  const data::MicroBatch packed = batch();
  at::Tensor gradients = model_.adapter().gradients();
  model_.train(packed, {.grad_scale = 0.01F});
  const at::Tensor kept = gradients.clone();
  for (const int64_t num_recomputed : {int64_t{1}, int64_t{2}}) {
    for (const auto dequantisation : {Dequantisation::kEachProduct, Dequantisation::kOnceABlock}) {
      gradients.zero_();
      model_.train(
          packed, {.grad_scale = 0.01F,
                   .memory = {.num_recomputed = num_recomputed, .dequantisation = dequantisation}});
      EXPECT_TRUE(gradients.equal(kept)) << num_recomputed << " blocks recomputed";
    }
  }
}

TEST_P(ModelGolden, PackedLossIsTheSumOverDocuments) {
  const auto loss_of = [&](const data::MicroBatch& documents) {
    return model_.loss(documents).item<double>();
  };
  double sum = 0.0;
  const data::MicroBatch packed = batch();
  for (size_t d = 0; d < documents_.size(); ++d) {
    const auto begin = static_cast<size_t>(packed.cu_seqlens[d]);
    const auto end = static_cast<size_t>(packed.cu_seqlens[d + 1]);
    const auto part = [&](const std::vector<int32_t>& all) {
      return std::vector<int32_t>(all.begin() + static_cast<int64_t>(begin),
                                  all.begin() + static_cast<int64_t>(end));
    };
    sum += loss_of({.input_ids = part(packed.input_ids),
                    .targets = part(packed.targets),
                    .positions = part(packed.positions),
                    .cu_seqlens = {0, static_cast<int32_t>(end - begin)},
                    .documents = {static_cast<int64_t>(d)}});
  }
  EXPECT_NEAR(loss_of(packed), sum, 1e-5 * sum);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const char* family : {"llama", "mistral", "qwen2", "qwen3"}) {
    all.push_back({family, BaseFormat::kDense, ""});
    all.push_back({family, BaseFormat::kNf4, "nf4."});
    all.push_back({family, BaseFormat::kNf4DoubleQuant, "nf4_double."});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Families, ModelGolden, testing::ValuesIn(cases()), name_of);

}  // namespace
}  // namespace rung::model
