#include "format/gguf.h"

#include <cassert>
#include <utility>

#include "format/checked.h"
#include "format/gguf_header.h"

namespace rung::format {

int64_t GgufTensor::num_values() const { return *checked_product(shape); }

GgufFile::GgufFile(std::filesystem::path path) : file_(std::move(path)) {
  GgufHeader header = read_gguf_header(file_);
  values_ = std::move(header.values);
  tensors_ = std::move(header.tensors);
  for (size_t i = 0; i < tensors_.size(); ++i) tensor_idx_.emplace(tensors_[i].name, i);
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto entry = values_.find(key);
  return entry == values_.end() ? nullptr : &entry->second;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto entry = tensor_idx_.find(name);
  return entry == tensor_idx_.end() ? nullptr : &tensors_[entry->second];
}

void GgufFile::read(const GgufTensor& tensor, int64_t begin, std::span<std::byte> out) const {
  assert(begin >= 0 && begin + static_cast<int64_t>(out.size()) <= tensor.bytes);
  file_.read(tensor.offset + begin, out);
}

}  // namespace rung::format
