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

void write_moments(const fs::path& path, const model::Adapter& adapter,
                   const step::Optimizer& optimizer) {
  const at::Tensor first = optimizer.first_moment().cpu();
  const at::Tensor second = optimizer.second_moment().cpu();
  std::vector<format::TensorToWrite> tensors;
  for (const MomentSlice& slice : moment_slices(adapter)) {
    tensors.push_back({.name = "first_moment." + slice.name,
                       .shape = slice.shape,
                       .data = slice_bytes(first, slice)});
    tensors.push_back({.name = "second_moment." + slice.name,
                       .shape = slice.shape,
                       .data = slice_bytes(second, slice)});
  }
  format::write_safetensors(path, std::move(tensors), {});
}

Json to_json(const TrainerState& state) {
  return {{"step", state.step},
          {"num_updates", state.num_updates},
          {"skipped_steps", state.skipped_steps},
          {"skipped_in_a_row", state.skipped_in_a_row},
          {"evaluated_step", state.evaluated_step},
          {"epoch", state.loader.epoch},
          {"step_in_epoch", state.loader.step_in_epoch},
          {"tokens_total", state.tokens_total},
          {"elapsed_seconds", state.elapsed_seconds}};
}

[[noreturn]] void throw_damaged(const fs::path& file, const std::string& what) {
  throw Error(ExitCode::kDamaged, {.what = what,
                                   .hint = "remove this checkpoint; an older one is used then",
                                   .where = file.string()});
}

TrainerState state_from_json(const Json& json, const fs::path& file) {
  const auto count = [&](const char* key) {
    if (!json.contains(key) || !json[key].is_number_unsigned() || json[key] > kLargestCount) {
      throw_damaged(file, fmt::format("a checkpoint's state has no sound count '{}'", key));
    }
    return json[key].get<int64_t>();
  };
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
  return state;
}

void read_moments(const fs::path& path, const std::string& prefix, const model::Adapter& adapter,
                  const at::Tensor& flat) {
  const format::SafetensorsFile file(path);
  const at::Tensor host = flat.cpu();  // flat itself on a CPU
  for (const MomentSlice& slice : moment_slices(adapter)) {
    const std::string name = prefix + slice.name;
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end() || found->second.dtype != format::DType::kF32 ||
        found->second.shape != slice.shape) {
      throw_damaged(path, fmt::format("'{}' is absent or of another shape", name));
    }
    file.read(name, 0, slice_bytes(host, slice));
  }
  if (!flat.is_cpu()) at::Tensor(flat).copy_(host);
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
  const fs::path moments = dir / "optimizer.safetensors";
  read_moments(moments, "first_moment.", adapter, optimizer.first_moment());
  read_moments(moments, "second_moment.", adapter, optimizer.second_moment());
  optimizer.set_num_updates(state.num_updates);
  return state;
}

}  // namespace rung::training
