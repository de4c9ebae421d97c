#include "training/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "base/json.h"
#include "format/safetensors.h"

namespace rung::training {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kAlwaysKeep = 2;  // checkpoints: the newest may turn out to be damaged
constexpr int64_t kLargestCount = int64_t{1} << 53;  // of a state: steps and tokens stay far below

// One adapter matrix inside the flat buffers: its name in optimizer.safetensors, without the
// moment.
struct MomentSlice {
  std::string name;
  std::vector<int64_t> shape;
  int64_t offset;  // elements

  int64_t length() const { return shape[0] * shape[1]; }
};

std::vector<MomentSlice> moment_slices(const model::Adapter& adapter) {
  std::vector<MomentSlice> slices;
  for (const model::AdapterSlot& slot : adapter.slots()) {
    slices.push_back({slot.module + ".lora_A.weight", {slot.r, slot.in_features}, slot.offset_a});
    slices.push_back({slot.module + ".lora_B.weight", {slot.out_features, slot.r}, slot.offset_b});
  }
  return slices;
}

std::span<std::byte> slice_bytes(const at::Tensor& flat, const MomentSlice& slice) {
  auto* begin = reinterpret_cast<std::byte*>(flat.data_ptr<float>() + slice.offset);
  return {begin, static_cast<size_t>(slice.length()) * sizeof(float)};
}

// Parameter by parameter in a buffer as long as the adapter; otherwise as a whole.
bool is_by_parameter(const step::Optimizer::StateTensor& state, const model::Adapter& adapter) {
  return state.tensor.scalar_type() == c10::kFloat &&
         state.tensor.numel() == adapter.parameters().numel();
}

format::DType stored_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == c10::kByte ? format::DType::kU8 : format::DType::kF32;
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()};
}

void write_moments(const fs::path& path, const model::Adapter& adapter,
                   const step::Optimizer& optimizer) {
  std::vector<at::Tensor> on_host;  // holds what `tensors` points to
  std::vector<format::TensorToWrite> tensors;
  for (const step::Optimizer::StateTensor& state : optimizer.state()) {
    on_host.push_back(state.tensor.cpu());
    const at::Tensor& host = on_host.back();
    if (!is_by_parameter(state, adapter)) {
      tensors.push_back({.name = state.name,
                         .dtype = stored_dtype(host),
                         .shape = host.sizes().vec(),
                         .data = bytes_of(host)});
      continue;
    }
    for (const MomentSlice& slice : moment_slices(adapter)) {
      tensors.push_back({.name = state.name + "." + slice.name,
                         .shape = slice.shape,
                         .data = slice_bytes(host, slice)});
    }
  }
  format::write_safetensors(path, std::move(tensors), {});
}

Json to_json(const TrainerState& state) {
  Json json{{"step", state.step},
            {"num_updates", state.num_updates},
            {"skipped_steps", state.skipped_steps},
            {"skipped_in_a_row", state.skipped_in_a_row},
            {"evaluated_step", state.evaluated_step},
            {"epoch", state.loader.epoch},
            {"step_in_epoch", state.loader.step_in_epoch},
            {"tokens_total", state.tokens_total},
            {"elapsed_seconds", state.elapsed_seconds}};
  if (state.loss_scale) {
    json["loss_scale"] = state.loss_scale->value();
    json["loss_scale_clean_steps"] = state.loss_scale->clean_steps();
  }
  if (state.climbed) {
    const model::MemorySettings& memory = state.climbed->memory;
    json["climbed"] = {
        {"split", state.climbed->split},
        {"recomputed_blocks", memory.num_recomputed},
        {"dequantise_once_a_block", memory.dequantisation == model::Dequantisation::kOnceABlock},
        {"block_inputs_on_host", memory.checkpoints == model::Checkpoints::kOnHost},
        {"mlp_tile", memory.mlp_tile},
        {"head_chunk_bytes", memory.head_chunk_bytes}};
  }
  return json;
}

[[noreturn]] void throw_damaged(const fs::path& file, const std::string& what) {
  throw Error(ExitCode::kDamaged, {.what = what,
                                   .hint = "remove this checkpoint; an older one is used then",
                                   .where = file.string()});
}

int64_t count_of(const Json& json, const char* key, const fs::path& file) {
  if (!json.contains(key) || !json[key].is_number_unsigned() || json[key] > kLargestCount) {
    throw_damaged(file, fmt::format("a checkpoint's state has no sound count '{}'", key));
  }
  return json[key].get<int64_t>();
}

fit::StepSettings settings_from_json(const Json& json, const fs::path& file) {
  const auto is_on = [&](const char* key) {
    if (!json.contains(key) || !json[key].is_boolean()) {
      throw_damaged(file, fmt::format("a checkpoint's state has no sound '{}'", key));
    }
    return json[key].get<bool>();
  };
  fit::StepSettings settings{
      .split = std::max<int64_t>(1, count_of(json, "split", file)),
      .memory = {
          .num_recomputed = count_of(json, "recomputed_blocks", file),
          .dequantisation = is_on("dequantise_once_a_block") ? model::Dequantisation::kOnceABlock
                                                             : model::Dequantisation::kEachProduct,
          .checkpoints = is_on("block_inputs_on_host") ? model::Checkpoints::kOnHost
                                                       : model::Checkpoints::kOnDevice,
          .mlp_tile = count_of(json, "mlp_tile", file),
          .head_chunk_bytes = std::max<int64_t>(1, count_of(json, "head_chunk_bytes", file))}};
  return settings;
}

TrainerState state_from_json(const Json& json, const fs::path& file) {
  const auto count = [&](const char* key) { return count_of(json, key, file); };
  TrainerState state;
  state.step = count("step");
  state.num_updates = count("num_updates");
  state.skipped_steps = count("skipped_steps");
  state.skipped_in_a_row = count("skipped_in_a_row");
  state.evaluated_step = count("evaluated_step");
  state.loader = {.epoch = count("epoch"), .step_in_epoch = count("step_in_epoch")};
  state.tokens_total = count("tokens_total");
  if (!json.contains("elapsed_seconds") || !json["elapsed_seconds"].is_number()) {
    throw_damaged(file, "a checkpoint's state has no number 'elapsed_seconds'");
  }
  state.elapsed_seconds = json["elapsed_seconds"];
  if (json.contains("loss_scale")) {
    const double scale = json["loss_scale"].is_number() ? json["loss_scale"].get<double>() : 0.0;
    const int64_t clean_steps = count("loss_scale_clean_steps");
    if (!step::LossScale::is_sound(scale, clean_steps)) {
      throw_damaged(file, "a checkpoint's state has no sound 'loss_scale'");
    }
    state.loss_scale.emplace(scale, clean_steps);
  }
  if (json.contains("climbed")) state.climbed = settings_from_json(json["climbed"], file);
  return state;
}

// Fills `out` with the tensor `name` of this shape.
void read_checked(const format::SafetensorsFile& file, const fs::path& path,
                  const std::string& name, const std::vector<int64_t>& shape, format::DType dtype,
                  std::span<std::byte> out) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end() || found->second.dtype != dtype ||
      found->second.shape != shape) {
    throw_damaged(path, fmt::format("'{}' is absent or of another shape", name));
  }
  file.read(name, 0, out);
}

void read_moments(const fs::path& path, const model::Adapter& adapter,
                  const step::Optimizer& optimizer) {
  const format::SafetensorsFile file(path);
  for (const step::Optimizer::StateTensor& state : optimizer.state()) {
    const at::Tensor host = state.tensor.cpu();  // the tensor itself on a CPU
    if (is_by_parameter(state, adapter)) {
      for (const MomentSlice& slice : moment_slices(adapter)) {
        read_checked(file, path, state.name + "." + slice.name, slice.shape, format::DType::kF32,
                     slice_bytes(host, slice));
      }
    } else {
      read_checked(file, path, state.name, host.sizes().vec(), stored_dtype(host), bytes_of(host));
    }
    if (!state.tensor.is_cpu()) at::Tensor(state.tensor).copy_(host);
  }
}

// "step-" and digits alone: a copy that somebody named otherwise is theirs.
bool is_checkpoint_name(std::string_view name) {
  constexpr std::string_view kPrefix = "step-";
  return name.starts_with(kPrefix) && name.size() > kPrefix.size() &&
         name.find_first_not_of("0123456789", kPrefix.size()) == std::string_view::npos;
}

void remove_superseded(const fs::path& output_dir, const fs::path& newest, int64_t keep_at_most) {
  const std::vector<fs::path> all = list_checkpoints(output_dir);
  const auto first = std::ranges::find(all, newest) - all.begin();
  if (first == std::ssize(all)) return;
  const int64_t keep = std::max(kAlwaysKeep, keep_at_most);
  for (int64_t i = 0; i < std::ssize(all); ++i) {
    if (i >= first && i < first + keep) continue;
    std::error_code ignored;  // one more checkpoint does no harm
    fs::remove_all(all[static_cast<size_t>(i)], ignored);
  }
}

}  // namespace

fs::path checkpoint_dir(const fs::path& output_dir, int64_t step) {
  return output_dir / "checkpoints" / fmt::format("step-{:06}", step);
}

void save_checkpoint(const fs::path& output_dir, const CheckpointContents& contents,
                     int64_t keep_at_most) {
  const fs::path dir = checkpoint_dir(output_dir, contents.state.step);
  StagedDir staged(dir);
  format::write_adapter(staged.path(), {contents.adapter_config, contents.adapter.tensors()});
  write_moments(staged.path() / "optimizer.safetensors", contents.adapter, contents.optimizer);
  publish_file(staged.path() / "state.json", to_json(contents.state).dump(2) + "\n");
  publish_file(staged.path() / "config.resolved.yaml", contents.resolved_config);
  write_inputs(staged.path(), contents.inputs);
  staged.publish(OnExisting::kReplace);
  remove_superseded(output_dir, dir, keep_at_most);
}

std::vector<fs::path> list_checkpoints(const fs::path& output_dir) {
  std::vector<fs::path> found;
  std::error_code absent;
  for (const auto& entry : fs::directory_iterator(output_dir / "checkpoints", absent)) {
    if (is_checkpoint_name(entry.path().filename().string())) found.push_back(entry.path());
  }
  const auto number = [](const fs::path& path) { return path.filename().string(); };
  std::ranges::sort(found, [&](const fs::path& a, const fs::path& b) {
    const std::string left = number(a);
    const std::string right = number(b);
    return left.size() != right.size() ? left.size() > right.size() : left > right;
  });
  return found;
}

std::vector<ManifestEntry> verify_checkpoint(const fs::path& dir) {
  std::vector<std::string_view> needed = {"adapter_config.json", "adapter_model.safetensors",
                                          "config.resolved.yaml", "optimizer.safetensors",
                                          "state.json"};
  // Once rung wrote none; read_inputs says so.
  std::error_code error;
  if (fs::exists(dir / kInputsFile, error)) needed.push_back(kInputsFile);
  return verify_manifest(dir, needed);
}

TrainerState load_checkpoint(const fs::path& dir, model::Adapter& adapter,
                             step::Optimizer& optimizer) {
  verify_checkpoint(dir);
  const fs::path state_file = dir / "state.json";
  const TrainerState state = state_from_json(read_json_file(state_file), state_file);
  adapter.assign(format::read_adapter(dir));
  read_moments(dir / "optimizer.safetensors", adapter, optimizer);
  optimizer.set_num_updates(state.num_updates);
  return state;
}

}  // namespace rung::training
