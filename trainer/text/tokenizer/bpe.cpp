#include "text/tokenizer/bpe.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "text/tokenizer/bpe_merge.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

struct NamedMerge {
  std::string left;
  std::string right;
};

// "left right" of files before 2024, ["left", "right"] since.
std::vector<NamedMerge> read_merges(const JsonField& field) {
  std::vector<NamedMerge> merges;
  merges.reserve(field.json().size());
  if (!field.json().is_array()) field.fail("an array");
  for (const Json& entry : field.json()) {
    if (entry.is_string()) {
      const auto& text = entry.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        JsonField(entry, field.where(), "a merge").fail("two tokens with one space between");
      }
      merges.push_back({text.substr(0, space), text.substr(space + 1)});
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
               entry[1].is_string()) {
      merges.push_back({entry[0].get<std::string>(), entry[1].get<std::string>()});
    } else {
      JsonField(entry, field.where(), "a merge").fail("two tokens");
    }
  }
  return merges;
}

int32_t find_merged(const Vocabulary& vocabulary, const std::string& token, const NamedMerge& merge,
                    const JsonField& field) {
  const std::optional<int32_t> id = vocabulary.find(token);
  if (id) return *id;
  throw Error(ExitCode::kDamaged,
              {.what = fmt::format("the merge \"{}\" + \"{}\" uses a token that is not in the "
                                   "vocabulary",
                                   merge.left, merge.right),
               .got = fmt::format("\"{}\"", token),
               .where = field.where()});
}

PairTable build_merges(const JsonField& field, const Vocabulary& vocabulary,
                       const std::string& prefix) {
  const std::vector<NamedMerge> merges = read_merges(field);
  PairTable table(merges.size());
  int32_t rank = 0;
  for (const NamedMerge& merge : merges) {
    const int32_t left = find_merged(vocabulary, merge.left, merge, field);
    const int32_t right = find_merged(vocabulary, merge.right, merge, field);
    // The right side carries the prefix of inner symbols, which the product does not.
    if (merge.right.size() < prefix.size()) field.fail("continuing_subword_prefix on right sides");
    const std::string product = merge.left + merge.right.substr(prefix.size());
    table.set(left, right, {rank++, find_merged(vocabulary, product, merge, field)});
  }
  return table;
}

// Checked first, so that another model is refused by its name rather than for what it lacks.
const JsonField& require_bpe(const JsonField& field) {
  const JsonField type = field["type"];  // absent in files of before 2021
  if (!type.is_null() && type.string() != "BPE") field.refuse("the model " + type.string());
  const JsonField dropout = field["dropout"];
  if (!dropout.is_null()) {
    if (!dropout.json().is_number()) dropout.fail("a number");
    if (dropout.json().get<double>() != 0) dropout.refuse("BPE dropout");
  }
  return field;
}

}  // namespace

BpeModel::BpeModel(const JsonField& field)
    : where_(field.where()),
      vocabulary_(require_bpe(field)["vocab"]),
      prefix_(field["continuing_subword_prefix"].string_or("")),
      suffix_(field["end_of_word_suffix"].string_or("")),
      fuse_unknown_(field["fuse_unk"].boolean_or(false)),
      byte_fallback_(field["byte_fallback"].boolean_or(false)),
      ignore_merges_(field["ignore_merges"].boolean_or(false)),
      merges_(build_merges(field["merges"], vocabulary_, prefix_)) {
  if (!field["unk_token"].is_null()) unknown_ = field["unk_token"].string();
  // Prefix and suffix change what a byte's symbol is: such files take the general way.
  const bool plain = prefix_.empty() && suffix_.empty();
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto id = vocabulary_.find(alphabet_.character(static_cast<uint8_t>(byte)));
    byte_ids_[byte] = plain ? id.value_or(-1) : -1;
    bytes_[byte] = vocabulary_.find(fmt::format("<0x{:02X}>", byte));
  }
}

void BpeModel::encode(std::string_view piece, std::vector<Symbol>& symbols) const {
  symbols.clear();
  if (ignore_merges_) {
    if (const auto id = vocabulary_.find(piece)) {
      symbols.push_back({*id, static_cast<int32_t>(piece.size())});
      return;
    }
  }
  split_characters(piece, symbols);
  merge_symbols(merges_, symbols);
}

bool BpeModel::encode_bytes(std::string_view bytes, std::vector<Symbol>& symbols) const {
  symbols.clear();
  for (const char byte : bytes) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(byte)];
    if (id < 0) return false;
    symbols.push_back({id, 1});
  }
  if (ignore_merges_) {
    if (const auto id = vocabulary_.find(alphabet_.spell(bytes))) {
      symbols = {{*id, static_cast<int32_t>(bytes.size())}};
      return true;
    }
  }
  merge_symbols(merges_, symbols);
  return true;
}

std::string BpeModel::spell_symbol(std::string_view character, bool first, bool last) const {
  std::string symbol;
  if (!first) symbol += prefix_;
  symbol += character;
  if (last) symbol += suffix_;
  return symbol;
}

// The symbols <0xNN> of the bytes of `character`: all of them, or none where one is missing.
bool BpeModel::append_bytes(std::string_view character, std::vector<Symbol>& symbols) const {
  for (const char byte : character) {
    if (!bytes_[static_cast<uint8_t>(byte)]) return false;
  }
  for (const char byte : character) symbols.push_back({*bytes_[static_cast<uint8_t>(byte)], 1});
  return true;
}

int32_t BpeModel::unknown_id() const {
  const std::optional<int32_t> id = vocabulary_.find(*unknown_);
  if (id) return *id;
  throw Error(ExitCode::kDamaged, {.what = "unk_token is needed and not in the vocabulary",
                                   .got = fmt::format("\"{}\"", *unknown_),
                                   .where = where_});
}

// A run of unknown characters is held back until a known one (or the end) comes, while the byte
// symbols of a character go straight in: with both in a file, Hugging Face's library puts the
// unknown behind the bytes, and so do we.
void BpeModel::split_characters(std::string_view piece, std::vector<Symbol>& symbols) const {
  std::optional<Symbol> pending;
  const auto flush = [&] {
    if (pending) symbols.push_back(*pending);
    pending.reset();
  };
  for (size_t i = 0; i < piece.size();) {
    const std::string_view character = piece.substr(i, code_point_at(piece, i).length);
    const auto length = static_cast<int32_t>(character.size());
    const std::string symbol =
        spell_symbol(character, i == 0, i + character.size() == piece.size());
    i += character.size();
    if (const auto id = vocabulary_.find(symbol)) {
      flush();
      symbols.push_back({*id, length});
      continue;
    }
    if (byte_fallback_ && append_bytes(symbol, symbols)) continue;
    if (!unknown_) continue;
    if (pending && fuse_unknown_) {
      pending->length += length;
    } else {
      flush();
      pending = Symbol{unknown_id(), length};
    }
  }
  flush();
}

}  // namespace rung::text
