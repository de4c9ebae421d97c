#include "format/gguf_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>
#include <utility>

#include "base/error.h"
#include "format/checked.h"
#include "format/gguf_cursor.h"

namespace rung::format {

namespace {

constexpr int64_t kMaxKeyBytes = 65535;  // the format's own limit
constexpr int64_t kMaxTensorNameBytes = 255;
constexpr int64_t kMaxStringBytes = int64_t{16} << 20;
constexpr uint64_t kMaxKeys = 1 << 16;
constexpr uint64_t kMaxTensors = 1 << 20;
// Of all arrays of a file together: the largest vocabularies with their merges have a million.
constexpr uint64_t kMaxArrayElements = uint64_t{1} << 25;
constexpr uint32_t kMaxRank = 4;
constexpr uint64_t kMaxDimension = uint64_t{1} << 40;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;

enum class ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

class HeaderReader {
 public:
  explicit HeaderReader(const InputFile& file) : file_(file), cursor_(file) {}

  GgufHeader read() {
    check_magic();
    const uint64_t num_tensors = count("the tensor count", kMaxTensors);
    const uint64_t num_keys = count("the key count", kMaxKeys);
    GgufHeader header;
    for (uint64_t i = 0; i < num_keys; ++i) read_key(header);
    std::set<std::string, std::less<>> names;
    for (uint64_t i = 0; i < num_tensors; ++i) {
      header.tensors.push_back(read_tensor());
      if (!names.insert(header.tensors.back().name).second) {
        tensor_damaged(header.tensors.back(), "the name is used by two tensors");
      }
    }
    place_tensors(header);
    return header;
  }

 private:
  void check_magic() {
    if (cursor_.remaining() < 4 || cursor_.number<uint32_t>("the magic number") != 0x46554747U) {
      cursor_.damaged("not a GGUF file", "other first bytes", "\"GGUF\"");
    }
    const auto version = cursor_.number<uint32_t>("the version");
    if (version == 3) return;
    const bool is_big_endian = version == 0x03000000U;
    throw Error(ExitCode::kConfig,
                {.what = is_big_endian ? "big-endian GGUF files are not supported"
                                       : "this GGUF version is not supported",
                 .got = is_big_endian ? "" : fmt::format("version {}", version),
                 .expected = is_big_endian ? "" : "version 3",
                 .hint = "convert the model again with a current llama.cpp",
                 .where = file_.path().string()});
  }

  // Every counted thing takes at least one byte, so a count beyond the file is a lie.
  uint64_t count(std::string_view what, uint64_t max) {
    const auto value = cursor_.number<uint64_t>(what);
    const uint64_t limit = std::min(max, static_cast<uint64_t>(cursor_.remaining()));
    if (value > limit) {
      cursor_.damaged(fmt::format("{} is impossible", what), fmt::format("{}", value),
                      fmt::format("at most {}", limit));
    }
    return value;
  }

  void read_key(GgufHeader& header) {
    std::string key = cursor_.text(kMaxKeyBytes, "a key");
    const auto type = cursor_.number<uint32_t>(key);
    GgufValue value = type == static_cast<uint32_t>(ValueType::kArray)
                          ? read_array(key)
                          : read_scalar(static_cast<ValueType>(type), key);
    if (header.values.contains(key)) {
      cursor_.damaged(fmt::format("the key \"{}\" is there twice", key));
    }
    header.values.emplace(std::move(key), std::move(value));
  }

  // A byte that is neither 0 nor 1 is no bool.
  bool read_bool(std::string_view key) {
    const auto byte = cursor_.number<uint8_t>(key);
    if (byte > 1) {
      cursor_.damaged(fmt::format("\"{}\" is no bool", key), fmt::format("{}", byte), "0 or 1");
    }
    return byte == 1;
  }

  GgufValue read_scalar(ValueType type, std::string_view key) {
    switch (type) {
      case ValueType::kUint8:
        return uint64_t{cursor_.number<uint8_t>(key)};
      case ValueType::kInt8:
        return int64_t{cursor_.number<int8_t>(key)};
      case ValueType::kUint16:
        return uint64_t{cursor_.number<uint16_t>(key)};
      case ValueType::kInt16:
        return int64_t{cursor_.number<int16_t>(key)};
      case ValueType::kUint32:
        return uint64_t{cursor_.number<uint32_t>(key)};
      case ValueType::kInt32:
        return int64_t{cursor_.number<int32_t>(key)};
      case ValueType::kFloat32:
        return cursor_.number<float>(key);
      case ValueType::kBool:
        return read_bool(key);
      case ValueType::kString:
        return cursor_.text(kMaxStringBytes, key);
      case ValueType::kUint64:
        return cursor_.number<uint64_t>(key);
      case ValueType::kInt64:
        return cursor_.number<int64_t>(key);
      case ValueType::kFloat64:
        return cursor_.number<double>(key);
      case ValueType::kArray:
        break;
    }
    cursor_.damaged(fmt::format("the value type of \"{}\" does not exist", key),
                    fmt::format("{}", static_cast<uint32_t>(type)), "0 to 12");
  }

  GgufValue read_array(std::string_view key) {
    const auto type = cursor_.number<uint32_t>(key);
    if (type == static_cast<uint32_t>(ValueType::kArray)) {
      throw Error(ExitCode::kConfig,
                  {.what = fmt::format("\"{}\" is an array of arrays, which is not supported", key),
                   .where = file_.path().string()});
    }
    const uint64_t length =
        count(fmt::format("the length of \"{}\"", key), kMaxArrayElements - num_array_elements_);
    num_array_elements_ += length;
    switch (static_cast<ValueType>(type)) {
      case ValueType::kUint8:
      case ValueType::kUint16:
      case ValueType::kUint32:
      case ValueType::kUint64:
        return read_elements<uint64_t>(type, length, key);
      case ValueType::kInt8:
      case ValueType::kInt16:
      case ValueType::kInt32:
      case ValueType::kInt64:
        return read_elements<int64_t>(type, length, key);
      case ValueType::kFloat32:
        return read_elements<float>(type, length, key);
      case ValueType::kFloat64:
        return read_elements<double>(type, length, key);
      case ValueType::kBool:
        return read_elements<bool>(type, length, key);
      default:  // strings; a type that does not exist is refused at its first element
        return read_elements<std::string>(type, length, key);
    }
  }

  template <typename T>
  std::vector<T> read_elements(uint32_t type, uint64_t length, std::string_view key) {
    // An empty array of an unknown type would otherwise pass.
    if (type > static_cast<uint32_t>(ValueType::kFloat64)) {
      read_scalar(static_cast<ValueType>(type), key);
    }
    std::vector<T> elements;
    for (uint64_t i = 0; i < length; ++i) {
      elements.push_back(std::get<T>(read_scalar(static_cast<ValueType>(type), key)));
    }
    return elements;
  }

  [[noreturn]] void tensor_damaged(const GgufTensor& tensor, const std::string& problem,
                                   const std::string& got = "",
                                   const std::string& expected = "") const {
    cursor_.damaged(fmt::format("tensor {}: {}", tensor.name, problem), got, expected);
  }

  GgufTensor read_tensor() {
    GgufTensor tensor;
    tensor.name = cursor_.text(kMaxTensorNameBytes, "a tensor name");
    if (tensor.name.empty()) cursor_.damaged("a tensor has no name");
    const auto rank = cursor_.number<uint32_t>("a tensor's rank");
    if (rank < 1 || rank > kMaxRank) {
      tensor_damaged(tensor, "the rank is out of range", fmt::format("{}", rank), "1 to 4");
    }
    for (uint32_t i = 0; i < rank; ++i) {
      const auto size = cursor_.number<uint64_t>("a tensor's sizes");
      if (size < 1 || size > kMaxDimension) {
        tensor_damaged(tensor, "a size is out of range", fmt::format("{}", size), "1 to 2^40");
      }
      tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
    }
    tensor.type = read_type(tensor);
    tensor.bytes = size_of(tensor);
    const auto offset = cursor_.number<uint64_t>("a tensor's offset");
    if (offset > static_cast<uint64_t>(file_.size())) {
      tensor_damaged(tensor, "the offset lies behind the end of the file",
                     fmt::format("{}", offset), fmt::format("below {}", file_.size()));
    }
    tensor.offset = static_cast<int64_t>(offset);  // so far from the start of the data
    return tensor;
  }

  GgmlType read_type(const GgufTensor& tensor) {
    const auto number = cursor_.number<uint32_t>("a tensor's type");
    if (const std::optional<GgmlType> type = supported_ggml_type(number)) return *type;
    const std::string_view name = ggml_type_name(number);
    if (name.empty()) {
      tensor_damaged(tensor, "the tensor type does not exist", fmt::format("{}", number),
                     "one of " + supported_ggml_types());
    }
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("tensor {} has a type that is not supported", tensor.name),
                 .got = std::string(name),
                 .expected = "one of " + supported_ggml_types(),
                 .hint = "take the F16, Q8_0, Q4_1 or Q4_0 file of the model",
                 .where = file_.path().string()});
  }

  int64_t size_of(const GgufTensor& tensor) const {
    const GgmlBlock block = block_of(tensor.type);
    const int64_t row = tensor.shape.back();
    if (row % block.values != 0) {
      tensor_damaged(tensor, fmt::format("the rows are no whole {} blocks", name_of(tensor.type)),
                     fmt::format("{} values a row", row),
                     fmt::format("a multiple of {}", block.values));
    }
    const std::optional<int64_t> num_values = checked_product(tensor.shape);
    const std::optional<int64_t> bytes =
        num_values ? checked_mul(*num_values / block.values, block.bytes) : std::nullopt;
    if (!bytes) tensor_damaged(tensor, "the size overflows");
    return *bytes;
  }

  int64_t read_alignment(const GgufHeader& header) const {
    const auto entry = header.values.find("general.alignment");
    if (entry == header.values.end()) return 32;
    const auto* value = std::get_if<uint64_t>(&entry->second);
    if (value == nullptr || !std::has_single_bit(*value) || *value > kMaxAlignment) {
      cursor_.damaged("general.alignment is wrong",
                      value == nullptr ? "no unsigned integer" : fmt::format("{}", *value),
                      "a power of two up to 2^20");
    }
    return static_cast<int64_t>(*value);
  }

  // Turns offsets into places in the file and checks them: aligned, inside, no two overlapping.
  void place_tensors(GgufHeader& header) const {
    const int64_t alignment = read_alignment(header);
    const int64_t data_begin = (cursor_.position() + alignment - 1) / alignment * alignment;
    std::vector<const GgufTensor*> by_offset;
    for (GgufTensor& tensor : header.tensors) {
      if (tensor.offset % alignment != 0) {
        tensor_damaged(tensor, "the offset is not aligned", fmt::format("{}", tensor.offset),
                       fmt::format("a multiple of {}", alignment));
      }
      tensor.offset += data_begin;
      const std::optional<int64_t> end = checked_add(tensor.offset, tensor.bytes);
      if (!end || *end > file_.size()) {
        tensor_damaged(tensor, "the data ends behind the end of the file",
                       end ? fmt::format("{}", *end) : "an overflow",
                       fmt::format("at most {}", file_.size()));
      }
      by_offset.push_back(&tensor);
    }
    std::sort(by_offset.begin(), by_offset.end(),
              [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
    for (size_t i = 1; i < by_offset.size(); ++i) {
      if (by_offset[i - 1]->offset + by_offset[i - 1]->bytes <= by_offset[i]->offset) continue;
      tensor_damaged(*by_offset[i], "the data overlaps that of " + by_offset[i - 1]->name);
    }
  }

  const InputFile& file_;
  GgufCursor cursor_;
  uint64_t num_array_elements_ = 0;
};

}  // namespace

GgufHeader read_gguf_header(const InputFile& file) { return HeaderReader(file).read(); }

}  // namespace rung::format
