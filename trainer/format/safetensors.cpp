#include "format/safetensors.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "base/error.h"
#include "format/output_file.h"

namespace rung::format {

namespace {

constexpr int64_t kLengthBytes = 8;

[[noreturn]] void throw_bad_length(const InputFile& file, const std::string& what,
                                   const std::string& got, const std::string& expected) {
  throw Error(ExitCode::kDamaged, {.what = what,
                                   .got = got,
                                   .expected = expected,
                                   .hint = "is this a whole safetensors file?",
                                   .where = file.path().string()});
}

// The u64 in front of the header, checked before anything of that size is allocated.
int64_t read_header_length(const InputFile& file) {
  if (file.size() < kLengthBytes) {
    throw_bad_length(file, "the safetensors file is too small for its header length",
                     std::to_string(file.size()) + " bytes", "at least 8");
  }
  std::array<std::byte, kLengthBytes> bytes;
  file.read(0, bytes);
  uint64_t length = 0;
  for (size_t i = bytes.size(); i-- > 0;) length = length << 8 | static_cast<uint64_t>(bytes[i]);
  if (length > static_cast<uint64_t>(kMaxHeaderBytes)) {
    throw_bad_length(file, "the safetensors header is too large", std::to_string(length) + " bytes",
                     "at most " + std::to_string(kMaxHeaderBytes));
  }
  const int64_t left = file.size() - kLengthBytes;
  if (static_cast<int64_t>(length) > left) {
    throw_bad_length(file, "the safetensors header is longer than the file",
                     std::to_string(length) + " bytes", "at most " + std::to_string(left));
  }
  return static_cast<int64_t>(length);
}

SafetensorsHeader read_header(const InputFile& file) {
  const int64_t length = read_header_length(file);
  std::string json(static_cast<size_t>(length), '\0');
  file.read(kLengthBytes, std::as_writable_bytes(std::span(json)));
  return parse_safetensors_header({.json = json,
                                   .data_begin = kLengthBytes + length,
                                   .data_bytes = file.size() - kLengthBytes - length,
                                   .where = file.path().string()});
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::filesystem::path path)
    : file_(std::move(path)), header_(read_header(file_)) {}

void SafetensorsFile::read(const std::string& name, int64_t begin, std::span<std::byte> out) const {
  const TensorInfo& tensor = header_.tensors.at(name);
  assert(begin >= 0 && begin + static_cast<int64_t>(out.size()) <= tensor.bytes);
  file_.read(tensor.offset + begin, out);
}

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto spec_of = [](const TensorToWrite& tensor) {
    return TensorSpec{.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape};
  };
  std::sort(tensors.begin(), tensors.end(), [&](const TensorToWrite& a, const TensorToWrite& b) {
    return is_written_before(spec_of(a), spec_of(b));
  });
  std::vector<TensorSpec> specs;
  for (const TensorToWrite& tensor : tensors) {
    specs.push_back(spec_of(tensor));
    assert(specs.back().num_bytes() == static_cast<int64_t>(tensor.data.size()));
  }
  OutputFile file(path);
  file.write(make_safetensors_header(specs, metadata));
  for (const TensorToWrite& tensor : tensors) file.write(tensor.data);
  file.sync();
}

}  // namespace rung::format
