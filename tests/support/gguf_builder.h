// GGUF files made in memory, right or wrong, for tests.
//
// Every part can be given as it is (raw keys, offsets, counts), so that a lying file is as easy to
// make as a sound one.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rung::testing {

class GgufBuilder {
 public:
  enum Type : uint32_t {
    kUint32 = 4,
    kInt32 = 5,
    kFloat32 = 6,
    kBool = 7,
    kString = 8,
    kArray = 9
  };

  struct Tensor {
    std::string name;
    std::vector<uint64_t> shape;  // outermost first
    uint32_t type = 0;            // ggml's number
    std::string data;
    std::optional<uint64_t> offset;  // where it is to differ from the true one
  };

  uint32_t version = 3;
  uint64_t alignment = 32;
  std::optional<uint64_t> num_tensors;  // where they are to differ from the true ones
  std::optional<uint64_t> num_keys;

  void add(std::string_view key, uint32_t value) { add_raw(key, kUint32, bytes_of(value)); }
  void add(std::string_view key, float value) { add_raw(key, kFloat32, bytes_of(value)); }
  void add(std::string_view key, bool value) {
    add_raw(key, kBool, std::string(1, value ? '\1' : '\0'));
  }
  void add(std::string_view key, std::string_view value) { add_raw(key, kString, text(value)); }
  void add(std::string_view key, const char* value) { add(key, std::string_view(value)); }
  void add(std::string_view key, const std::vector<std::string>& values) {
    std::string array = bytes_of(uint32_t{kString}) + bytes_of(uint64_t{values.size()});
    for (const std::string& value : values) array += text(value);
    add_raw(key, kArray, array);
  }
  void add(std::string_view key, const std::vector<int32_t>& values) {
    add_numbers(key, kInt32, values);
  }
  void add(std::string_view key, const std::vector<float>& values) {
    add_numbers(key, kFloat32, values);
  }
  void add_raw(std::string_view key, uint32_t type, std::string_view value) {
    keys_.push_back({std::string(key), bytes_of(type) + std::string(value)});
  }
  // Replaces or removes what add() gave.
  void remove(std::string_view key) {
    std::erase_if(keys_, [&](const Key& it) { return it.name == key; });
  }
  template <typename T>
  void set(std::string_view key, const T& value) {
    remove(key);
    add(key, value);
  }

  void add_tensor(Tensor tensor) { tensors_.push_back(std::move(tensor)); }
  void add_floats(std::string_view name, std::vector<uint64_t> shape,
                  const std::vector<float>& values) {
    std::string data(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    add_tensor({.name = std::string(name), .shape = std::move(shape), .data = std::move(data)});
  }
  void remove_tensor(std::string_view name) {
    std::erase_if(tensors_, [&](const Tensor& it) { return it.name == name; });
  }

  std::string build() const {
    std::string file = "GGUF" + bytes_of(version) +
                       bytes_of(num_tensors.value_or(tensors_.size())) +
                       bytes_of(num_keys.value_or(keys_.size()));
    for (const Key& key : keys_) file += text(key.name) + key.value;
    uint64_t offset = 0;
    std::string data;
    for (const Tensor& tensor : tensors_) {
      file += text(tensor.name) + bytes_of(static_cast<uint32_t>(tensor.shape.size()));
      for (size_t i = tensor.shape.size(); i > 0; --i) file += bytes_of(tensor.shape[i - 1]);
      file += bytes_of(tensor.type) + bytes_of(tensor.offset.value_or(offset));
      data += tensor.data;
      pad(data);
      offset = data.size();
    }
    pad(file);
    return file + data;
  }

  template <typename T>
  static std::string bytes_of(T value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static std::string text(std::string_view value) {
    return bytes_of(uint64_t{value.size()}) + std::string(value);
  }

 private:
  struct Key {
    std::string name;
    std::string value;  // type and value
  };
  template <typename T>
  void add_numbers(std::string_view key, Type type, const std::vector<T>& values) {
    std::string array = bytes_of(uint32_t{type}) + bytes_of(uint64_t{values.size()});
    for (const T value : values) array += bytes_of(value);
    add_raw(key, kArray, array);
  }
  void pad(std::string& bytes) const {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
  }

  std::vector<Key> keys_;
  std::vector<Tensor> tensors_;
};

}  // namespace rung::testing
