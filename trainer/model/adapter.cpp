#include "model/adapter.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "memory/counter.h"

namespace rung::model {
namespace {

using memory::Component;
using memory::ComponentScope;

// Offsets of every adapted linear; returns the length of the buffer.
int64_t lay_out(const std::vector<ops::LinearGroup*>& groups, const AdapterOptions& options,
                std::vector<AdapterSlot>& slots) {
  int64_t offset = 0;
  for (const ops::LinearGroup* group : groups) {
    const size_t first = slots.size();
    for (const ops::Linear& member : group->members) {
      if (std::ranges::find(options.modules, member.module) == options.modules.end()) continue;
      slots.push_back({.module = member.module,
                       .in_features = group->in_features,
                       .out_features = member.weight.out_features(),
                       .r = options.r,
                       .offset_a = offset,
                       .offset_b = 0});
      offset += options.r * group->in_features;
    }
    for (size_t i = first; i < slots.size(); ++i) {
      slots[i].offset_b = offset;
      offset += slots[i].out_features * options.r;
    }
  }
  return offset;
}

at::Tensor matrix(const at::Tensor& flat, int64_t offset, int64_t rows, int64_t cols) {
  return flat.narrow(0, offset, rows * cols).view({rows, cols});
}

}  // namespace

Adapter::Adapter(const std::vector<ops::LinearGroup*>& groups, const AdapterOptions& options,
                 c10::Device device) {
  const int64_t length = lay_out(groups, options, slots_);
  const auto floats = at::TensorOptions(device).dtype(c10::kFloat);
  {
    const ComponentScope scope(Component::kAdapters);
    parameters_ = at::empty({length}, floats);
  }
  {
    const ComponentScope scope(Component::kGradients);
    gradients_ = at::zeros({length}, floats);
  }
  size_t next = 0;
  for (ops::LinearGroup* group : groups) {
    group->dropout = options.dropout;
    const size_t first = next;
    for (ops::Linear& member : group->members) {
      if (next == slots_.size() || slots_[next].module != member.module) continue;
      const AdapterSlot& slot = slots_[next];
      member.lora = {.a = matrix(parameters_, slot.offset_a, slot.r, slot.in_features),
                     .b = matrix(parameters_, slot.offset_b, slot.out_features, slot.r),
                     .grad_a = matrix(gradients_, slot.offset_a, slot.r, slot.in_features),
                     .grad_b = matrix(gradients_, slot.offset_b, slot.out_features, slot.r),
                     .scaling = options.scaling,
                     .module_key = stream_of(slot.module)};
      ++next;
    }
    if (next == first) continue;
    const auto rows = static_cast<int64_t>(next - first) * options.r;
    group->stacked_a = matrix(parameters_, slots_[first].offset_a, rows, group->in_features);
    group->stacked_grad_a = matrix(gradients_, slots_[first].offset_a, rows, group->in_features);
    const AdapterSlot& last = slots_[next - 1];
    const int64_t end = last.offset_b + last.out_features * last.r;
    group->parameters = parameters_.narrow(0, slots_[first].offset_a, end - slots_[first].offset_a);
  }
  TORCH_INTERNAL_ASSERT(next == slots_.size());
}

void Adapter::initialize(InitLora kind, uint64_t seed) {
  if (parameters_.is_meta()) return;
  parameters_.zero_();
  const at::Tensor host = parameters_.cpu();
  float* flat = host.mutable_data_ptr<float>();
  for (const AdapterSlot& slot : slots_) {
    const CounterRandom random(seed, stream_of(slot.module));
    const double bound = 1.0 / std::sqrt(static_cast<double>(slot.in_features));
    const double deviation = 1.0 / static_cast<double>(slot.r);
    for (int64_t i = 0; i < slot.r * slot.in_features; ++i) {
      const auto counter = static_cast<uint64_t>(i);
      flat[slot.offset_a + i] = static_cast<float>(
          kind == InitLora::kKaiming ? bound * (2.0 * random.uniform(counter) - 1.0)
                                     : deviation * random.normal(counter));
    }
  }
  if (!parameters_.is_cpu()) parameters_.copy_(host);
}

void Adapter::assign(const format::AdapterFolder& saved) {
  std::map<std::string, const format::AdapterTensor*> by_module;
  for (const format::AdapterTensor& tensor : saved.tensors) by_module[tensor.module] = &tensor;
  const at::Tensor host = parameters_.cpu();
  float* flat = host.mutable_data_ptr<float>();
  for (const AdapterSlot& slot : slots_) {
    const auto found = by_module.find(slot.module);
    if (found == by_module.end()) {
      throw Error(ExitCode::kConfig, {.what = "the saved adapter has no tensors for a module",
                                      .got = slot.module,
                                      .hint = "use an adapter of this base model"});
    }
    const format::AdapterTensor& tensor = *found->second;
    if (tensor.in_features != slot.in_features || tensor.out_features != slot.out_features) {
      throw Error(
          ExitCode::kConfig,
          {.what = fmt::format("the saved adapter's {} does not fit the model", slot.module),
           .got = fmt::format("[{}, {}]", tensor.out_features, tensor.in_features),
           .expected = fmt::format("[{}, {}]", slot.out_features, slot.in_features),
           .hint = "use an adapter of this base model"});
    }
    const int64_t saved_r = std::ssize(tensor.a) / std::max<int64_t>(1, slot.in_features);
    if (std::ssize(tensor.a) != slot.r * slot.in_features ||
        std::ssize(tensor.b) != slot.out_features * slot.r) {
      throw Error(ExitCode::kConfig,
                  {.what = fmt::format("the saved adapter's {} has another rank", slot.module),
                   .got = fmt::format("{}", saved_r),
                   .expected = fmt::format("{}", slot.r)});
    }
    std::copy(tensor.a.begin(), tensor.a.end(), flat + slot.offset_a);
    std::copy(tensor.b.begin(), tensor.b.end(), flat + slot.offset_b);
    by_module.erase(found);
  }
  if (!by_module.empty()) {
    throw Error(ExitCode::kConfig, {.what = "the saved adapter has a module that the model has not",
                                    .got = by_module.begin()->first,
                                    .hint = "use an adapter of this base model"});
  }
  if (!parameters_.is_cpu()) parameters_.copy_(host);
}

std::vector<format::AdapterTensor> Adapter::export_from(const at::Tensor& flat) const {
  std::vector<format::AdapterTensor> result;
  const at::Tensor host = flat.cpu();
  const float* data = host.const_data_ptr<float>();
  for (const AdapterSlot& slot : slots_) {
    const float* a = data + slot.offset_a;
    const float* b = data + slot.offset_b;
    result.push_back({.module = slot.module,
                      .in_features = slot.in_features,
                      .out_features = slot.out_features,
                      .a = {a, a + slot.r * slot.in_features},
                      .b = {b, b + slot.out_features * slot.r}});
  }
  return result;
}

std::vector<format::AdapterTensor> Adapter::tensors() const { return export_from(parameters_); }

std::vector<format::AdapterTensor> Adapter::gradient_tensors() const {
  return export_from(gradients_);
}

}  // namespace rung::model
