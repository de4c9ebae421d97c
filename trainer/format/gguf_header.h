// The header of a GGUF file: parsed and checked, before any tensor is read.
//
// Checked here: magic and version, every count and length against the file's size, unique keys and
// names, rank and sizes with overflow, block sizes, alignment, and that each tensor lies inside the
// file and over no other. Source: ggml docs/gguf.md.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "format/gguf.h"
#include "format/input_file.h"

namespace rung::format {

struct GgufHeader {
  std::map<std::string, GgufValue, std::less<>> values;
  std::vector<GgufTensor> tensors;
};

// Throws Error as GgufFile's constructor does.
GgufHeader read_gguf_header(const InputFile& file);

}  // namespace rung::format
