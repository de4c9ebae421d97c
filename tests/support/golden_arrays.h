// Golden files of the kernel tests: one line of JSON that lists named arrays, then their bytes.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace rung::test {

struct GoldenArray {
  std::string dtype;  // float32, bfloat16, float16, uint8
  size_t count = 0;
  std::vector<char> bytes;

  template <typename T>
  std::vector<T> as() const {
    if (bytes.size() != count * sizeof(T)) throw std::logic_error("golden array read as " + dtype);
    std::vector<T> values(count);
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
};

using GoldenArrays = std::map<std::string, GoldenArray>;

inline GoldenArrays read_golden(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string header;
  if (!std::getline(file, header)) throw std::runtime_error("cannot read " + path.string());
  GoldenArrays arrays;
  const auto list = nlohmann::json::parse(header);
  for (const auto& entry : list.at("arrays")) {
    GoldenArray array{entry.at("dtype").get<std::string>(), entry.at("count").get<size_t>(), {}};
    const size_t width = array.dtype == "float32" ? 4 : array.dtype == "uint8" ? 1 : 2;
    array.bytes.resize(array.count * width);
    file.read(array.bytes.data(), static_cast<std::streamsize>(array.bytes.size()));
    if (!file) throw std::runtime_error("short golden file " + path.string());
    arrays[entry.at("name").get<std::string>()] = std::move(array);
  }
  return arrays;
}

}  // namespace rung::test
