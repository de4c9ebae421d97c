#include "text/tokenizer/sentencepiece_model.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "text/tokenizer/charsmap.h"
#include "text/tokenizer/json_field.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

// SentencePiece takes pieces apart recursively, a level a character at worst.
constexpr size_t kMaxPieceBytes = 1024;

[[noreturn]] void fail(const std::string& got, const std::string& where) {
  throw Error(ExitCode::kDamaged,
              {.what = "the SentencePiece model is damaged", .got = got, .where = where});
}

[[noreturn]] void refuse(const std::string& what, const std::string& where) {
  throw Error(ExitCode::kConfig,
              {.what = "a SentencePiece model with " + what + " is not supported", .where = where});
}

enum class Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  uint64_t number = 0;
  Wire wire = Wire::kVarint;
  uint64_t value = 0;      // kVarint, kFixed32, kFixed64
  std::string_view bytes;  // kBytes
};

// The fields of one message, in order.
class MessageReader {
 public:
  MessageReader(std::string_view message, const std::string& where)
      : rest_(message), where_(where) {}

  std::optional<Field> next() {
    if (rest_.empty()) return std::nullopt;
    const uint64_t key = varint();
    Field field{.number = key >> 3};
    switch (key & 7) {
      case 0:
        field.wire = Wire::kVarint;
        field.value = varint();
        break;
      case 1:
        field.wire = Wire::kFixed64;
        field.value = fixed(8);
        break;
      case 2:
        field.wire = Wire::kBytes;
        field.bytes = take(varint());
        break;
      case 5:
        field.wire = Wire::kFixed32;
        field.value = fixed(4);
        break;
      default:
        fail(fmt::format("a field of wire type {}", key & 7), where_);
    }
    return field;
  }

 private:
  std::string_view take(uint64_t size) {
    if (size > rest_.size()) {
      fail(fmt::format("{} bytes where {} are left", size, rest_.size()), where_);
    }
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1).front());
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    fail("a number of more than 64 bits", where_);
  }

  uint64_t fixed(uint64_t size) {
    uint64_t value = 0;
    int shift = 0;
    for (const char byte : take(size)) {
      value |= static_cast<uint64_t>(static_cast<uint8_t>(byte)) << shift;
      shift += 8;
    }
    return value;
  }

  std::string_view rest_;
  const std::string& where_;
};

void expect_wire(const Field& field, Wire wire, std::string_view name, const std::string& where) {
  if (field.wire != wire) fail(fmt::format("{} of another type", name), where);
}

bool read_flag(const Field& field, std::string_view name, const std::string& where) {
  expect_wire(field, Wire::kVarint, name, where);
  return field.value != 0;
}

SentencePieceModel::Piece read_piece(std::string_view message, size_t id,
                                     const std::string& where) {
  SentencePieceModel::Piece piece;
  MessageReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 1) {
      expect_wire(*field, Wire::kBytes, "pieces.piece", where);
      piece.text = field->bytes;
    } else if (field->number == 2) {
      expect_wire(*field, Wire::kFixed32, "pieces.score", where);
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field->value));
    } else if (field->number == 3) {
      expect_wire(*field, Wire::kVarint, "pieces.type", where);
      if (field->value < 1 || field->value > 6) {
        fail(fmt::format("piece {} of type {}", id, field->value), where);
      }
      piece.type = static_cast<SentencePieceModel::PieceType>(field->value);
    }
  }
  if (piece.text.empty()) fail(fmt::format("piece {} without text", id), where);
  if (piece.text.size() > kMaxPieceBytes) {
    fail(fmt::format("piece {} of {} bytes", id, piece.text.size()), where);
  }
  if (find_invalid_utf8(piece.text) || piece.text.find('\0') != std::string::npos) {
    fail(fmt::format("piece {} that is no text", id), where);
  }
  if (std::isnan(piece.score)) fail(fmt::format("piece {} with the score NaN", id), where);
  return piece;
}

void read_trainer_spec(std::string_view message, const std::string& where,
                       SentencePieceModel& model) {
  MessageReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 3) {
      expect_wire(*field, Wire::kVarint, "trainer_spec.model_type", where);
      if (field->value == 3) refuse("whole words (model_type WORD)", where);
      if (field->value == 4) refuse("single characters (model_type CHAR)", where);
      if (field->value < 1 || field->value > 4) {
        fail(fmt::format("model_type {}", field->value), where);
      }
      model.type = static_cast<SentencePieceModel::Type>(field->value);
    } else if (field->number == 24) {
      if (read_flag(*field, "trainer_spec.treat_whitespace_as_suffix", where)) {
        refuse("white space behind words (treat_whitespace_as_suffix)", where);
      }
    } else if (field->number == 35) {
      model.byte_fallback = read_flag(*field, "trainer_spec.byte_fallback", where);
    }
  }
}

void read_normalizer_spec(std::string_view message, const std::string& where,
                          SentencePieceModel& model) {
  MessageReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 2) {
      expect_wire(*field, Wire::kBytes, "normalizer_spec.precompiled_charsmap", where);
      model.charsmap = field->bytes;
    } else if (field->number == 3) {
      model.add_dummy_prefix = read_flag(*field, "normalizer_spec.add_dummy_prefix", where);
    } else if (field->number == 4) {
      model.remove_extra_whitespaces =
          read_flag(*field, "normalizer_spec.remove_extra_whitespaces", where);
    } else if (field->number == 5) {
      if (!read_flag(*field, "normalizer_spec.escape_whitespaces", where)) {
        refuse("plain spaces in its pieces (escape_whitespaces: false)", where);
      }
    }
  }
}

void check_denormalizer_spec(std::string_view message, const std::string& where) {
  MessageReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 2 && !(field->wire == Wire::kBytes && field->bytes.empty())) {
      refuse("replacements in decoded text (denormalizer_spec)", where);
    }
  }
}

// Other files that are found under the name tokenizer.model.
void check_kind(std::string_view bytes, const std::string& where) {
  const auto other = [&](const std::string& kind) {
    throw Error(ExitCode::kConfig,
                {.what = "tokenizer.model is " + kind + ", which is not supported",
                 .expected = "a SentencePiece model, or a tokenizer.json beside it",
                 .where = where});
  };
  if (bytes.starts_with("{")) other("JSON, as Mistral's tekken files are");
  if (bytes.starts_with("version https://git-lfs")) other("a Git LFS pointer, not the file itself");
  // "IQ== 0": a token in base64 and its rank.
  const std::string_view line = bytes.substr(0, bytes.find('\n'));
  const size_t space = line.find(' ');
  const auto all_of = [](std::string_view text, std::string_view characters) {
    return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
  };
  if (space != std::string_view::npos && all_of(line.substr(space + 1), "0123456789\r") &&
      all_of(line.substr(0, space),
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
             "0123456789+/=")) {
    other("a tiktoken vocabulary");
  }
}

void check_pieces(const SentencePieceModel& model, const std::string& where) {
  if (model.pieces.empty()) fail("no pieces", where);
  std::unordered_set<std::string_view> texts;
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    if (!texts.insert(piece.text).second) {
      fail(fmt::format("the piece \"{}\" twice", piece.text), where);
    }
  }
}

void append_varint(uint64_t value, std::string& bytes) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}

void append_number(uint64_t field, uint64_t value, std::string& bytes) {
  append_varint(field << 3, bytes);
  append_varint(value, bytes);
}

void append_bytes(uint64_t field, std::string_view value, std::string& bytes) {
  append_varint(field << 3 | 2, bytes);
  append_varint(value.size(), bytes);
  bytes += value;
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::string_view bytes, const std::string& where) {
  check_kind(bytes, where);
  SentencePieceModel model;
  // Both stand behind the pieces: a file that was cut short between two fields lacks them.
  bool has_trainer_spec = false;
  bool has_normalizer_spec = false;
  MessageReader reader(bytes, where);
  while (const auto field = reader.next()) {
    if (field->number == 0 || field->number > 5) continue;
    if (field->number == 4) continue;  // self_test_data
    expect_wire(*field, Wire::kBytes, fmt::format("field {}", field->number), where);
    if (field->number == 1) {
      if (model.pieces.size() > kMaxTokenId) fail("more than 2 million pieces", where);
      model.pieces.push_back(read_piece(field->bytes, model.pieces.size(), where));
    } else if (field->number == 2) {
      has_trainer_spec = true;
      read_trainer_spec(field->bytes, where, model);
    } else if (field->number == 3) {
      has_normalizer_spec = true;
      read_normalizer_spec(field->bytes, where, model);
    } else {
      check_denormalizer_spec(field->bytes, where);
    }
  }
  check_pieces(model, where);
  if (!has_trainer_spec || !has_normalizer_spec) fail("no trainer_spec or normalizer_spec", where);
  if (!model.charsmap.empty()) model.longest_replacement = check_charsmap(model.charsmap, where);
  return model;
}

std::string to_bytes(const SentencePieceModel& model) {
  std::string bytes;
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    std::string message;
    append_bytes(1, piece.text, message);
    append_varint(2 << 3 | 5, message);
    const auto score = std::bit_cast<uint32_t>(piece.score);
    for (int shift = 0; shift < 32; shift += 8) message += static_cast<char>(score >> shift);
    append_number(3, static_cast<uint64_t>(piece.type), message);
    append_bytes(1, message, bytes);
  }
  std::string trainer;
  append_number(3, static_cast<uint64_t>(model.type), trainer);
  append_number(35, model.byte_fallback ? 1 : 0, trainer);
  append_bytes(2, trainer, bytes);
  std::string normalizer;
  append_bytes(2, model.charsmap, normalizer);
  append_number(3, model.add_dummy_prefix ? 1 : 0, normalizer);
  append_number(4, model.remove_extra_whitespaces ? 1 : 0, normalizer);
  append_bytes(3, normalizer, bytes);
  return bytes;
}

}  // namespace rung::text
