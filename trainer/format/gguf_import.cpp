#include "format/gguf_import.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/publish.h"
#include "format/float_round.h"
#include "format/gguf.h"
#include "format/gguf_config.h"
#include "format/gguf_dequantize.h"
#include "format/gguf_tensors.h"
#include "format/gguf_tokenizer.h"
#include "format/output_file.h"

namespace rung::format {

namespace {

constexpr int64_t kChunkValues = int64_t{1} << 20;

void check_out_dir(const std::filesystem::path& out_dir) {
  std::error_code failure;
  if (!std::filesystem::exists(out_dir, failure)) return;
  const bool is_free = std::filesystem::is_directory(out_dir, failure) &&
                       std::filesystem::is_empty(out_dir, failure) && !failure;
  if (is_free) return;
  throw Error(ExitCode::kConfig, {.what = "the output folder is in use",
                                  .expected = "a path that does not exist, or an empty folder",
                                  .hint = "remove it or choose another name",
                                  .where = out_dir.string()});
}

// One tensor on its way: rows of `columns` values, read and rounded in whole heads.
class TensorConverter {
 public:
  TensorConverter(const GgufFile& file, const ImportedTensor& tensor, const ImportOptions& options)
      : file_(file), tensor_(tensor), options_(options) {}

  void write_to(ModelWriter& writer, int64_t head_dim) {
    const GgufTensor& source = *tensor_.source;
    const bool is_interleaved = tensor_.row_order == RowOrder::kInterleavedHeads;
    // A bias is one column, so that its values are the rows that are put in order.
    const bool is_vector = source.shape.size() == 1;
    columns_ = is_vector && is_interleaved ? 1 : source.shape.back();
    const int64_t num_rows = source.num_values() / columns_;
    const int64_t unit = is_interleaved ? head_dim : 1;
    const int64_t step = std::max<int64_t>(1, kChunkValues / (columns_ * unit)) * unit;
    for (int64_t row = 0; row < num_rows; row += step) {
      read_rows(row, std::min(step, num_rows - row));
      if (is_interleaved) order_rows(head_dim);
      round();
      writer.write(tensor_.name, rounded_);
    }
  }

 private:
  void read_rows(int64_t first, int64_t count) {
    const GgmlBlock block = block_of(tensor_.source->type);
    if (columns_ % block.values != 0) {
      throw Error(ExitCode::kConfig,
                  {.what = fmt::format("tensor {}: a quantised bias is not supported",
                                       tensor_.source->name),
                   .where = file_.path().string()});
    }
    const int64_t row_bytes = columns_ / block.values * block.bytes;
    stored_.resize(static_cast<size_t>(count * row_bytes));
    values_.resize(static_cast<size_t>(count * columns_));
    file_.read(*tensor_.source, first * row_bytes, stored_);
    dequantize(tensor_.source->type, stored_, values_);
  }

  void order_rows(int64_t head_dim) {
    ordered_.resize(values_.size());
    const auto num_rows = static_cast<int64_t>(values_.size()) / columns_;
    for (int64_t row = 0; row < num_rows; ++row) {
      const float* from = values_.data() + interleaved_row(row, head_dim) * columns_;
      std::copy_n(from, columns_, ordered_.data() + row * columns_);
    }
    values_.swap(ordered_);
  }

  void round() {
    check_range();
    rounded_.resize(values_.size() * static_cast<size_t>(size_in_bytes(options_.dtype)));
    if (options_.dtype == DType::kF32) {
      std::memcpy(rounded_.data(), values_.data(), rounded_.size());
      return;
    }
    const bool is_half = options_.dtype == DType::kF16;
    for (size_t i = 0; i < values_.size(); ++i) {
      const uint16_t bits = is_half ? float_to_half(values_[i]) : float_to_bfloat16(values_[i]);
      std::memcpy(rounded_.data() + i * sizeof bits, &bits, sizeof bits);
    }
  }

  // From the middle between the largest number of the type and its double on, rounding gives
  // infinity.
  void check_range() const {
    const float limit = options_.dtype == DType::kF16    ? 65520.0F
                        : options_.dtype == DType::kBF16 ? 0x1.ffp127F
                                                         : std::numeric_limits<float>::infinity();
    const auto bad = std::find_if(values_.begin(), values_.end(), [&](float value) {
      return !(std::abs(value) < limit);  // true for NaN
    });
    if (bad == values_.end()) return;
    const bool is_damaged = !std::isfinite(*bad);
    throw Error(is_damaged ? ExitCode::kDamaged : ExitCode::kConfig,
                {.what = fmt::format("tensor {}: a value {}", tensor_.source->name,
                                     is_damaged ? "is not finite" : "is too large for the type"),
                 .got = fmt::format("{}", *bad),
                 .hint = is_damaged ? "the file is damaged; get it again" : "import it as fp32",
                 .where = file_.path().string()});
  }

  const GgufFile& file_;
  const ImportedTensor& tensor_;
  const ImportOptions& options_;
  int64_t columns_ = 0;
  std::vector<std::byte> stored_;
  std::vector<float> values_;
  std::vector<float> ordered_;
  std::vector<std::byte> rounded_;
};

std::vector<TensorSpec> specs_of(const std::vector<ImportedTensor>& plan, DType dtype) {
  std::vector<TensorSpec> specs;
  for (const ImportedTensor& tensor : plan) {
    specs.push_back({.name = tensor.name, .dtype = dtype, .shape = tensor.source->shape});
  }
  return specs;
}

struct WeightsJob {
  const GgufFile& file;
  const std::vector<ImportedTensor>& plan;
  const ImportOptions& options;
  const std::filesystem::path& dir;
  int64_t head_dim = 0;
};

void write_weights(const WeightsJob& job) {
  std::unordered_map<std::string, const ImportedTensor*> by_name;
  for (const ImportedTensor& tensor : job.plan) by_name.emplace(tensor.name, &tensor);
  ModelWriter writer(job.dir, specs_of(job.plan, job.options.dtype), job.options.max_shard_bytes);
  for (const TensorSpec& spec : writer.order()) {
    TensorConverter converter(job.file, *by_name.at(spec.name), job.options);
    converter.write_to(writer, job.head_dim);
  }
  writer.finish();
}

void write_json(const std::filesystem::path& path, const Json& json) {
  OutputFile file(path);
  file.write(json.dump(2) + "\n");
  file.sync();
}

}  // namespace

ImportSummary import_gguf(const ImportOptions& options) {
  check_out_dir(options.out_dir);
  const GgufFile file(options.gguf);
  const ModelConfig config = read_gguf_config(file, options.dtype);
  const std::vector<ImportedTensor> plan = plan_gguf_tensors(file, config);
  const GgufTokenizer tokenizer =
      read_gguf_tokenizer({.file = file,
                           .vocab_size = config.vocab_size,
                           .max_length = config.max_position_embeddings});

  StagedDir staged(options.out_dir);
  const std::filesystem::path& dir = staged.path();
  write_json(dir / "config.json", make_config_json(config, tokenizer.pad_token_id));
  write_json(dir / "generation_config.json",
             make_generation_config_json(config, tokenizer.pad_token_id));
  write_json(dir / "tokenizer.json", tokenizer.tokenizer);
  write_json(dir / "tokenizer_config.json", tokenizer.tokenizer_config);
  write_weights(
      {.file = file, .plan = plan, .options = options, .dir = dir, .head_dim = config.head_dim});
  // An empty folder gives way; what was put there meanwhile stays, and publish() refuses it.
  ::rmdir(options.out_dir.c_str());
  staged.publish(OnExisting::kRefuse);

  ImportSummary summary = {.architecture = config.architecture,
                           .num_tensors = static_cast<int64_t>(plan.size()),
                           .num_tokens = tokenizer.num_tokens,
                           .warnings = tokenizer.warnings};
  for (const ImportedTensor& tensor : plan) summary.num_parameters += tensor.source->num_values();
  return summary;
}

}  // namespace rung::format
