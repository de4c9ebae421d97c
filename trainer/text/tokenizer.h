// A model folder's tokenizer: text to token ids and back.
//
// Where the folder has a tokenizer.json, that is executed as the Hugging Face `tokenizers` library
// does (text/tokenizer/json_engine.h); otherwise tokenizer.model, a SentencePiece model, as
// transformers' LlamaTokenizer does (text/tokenizer/sentencepiece_engine.h). What a file asks for
// and rung does not have is refused by name when it is loaded, never skipped. Limits: 256 MiB a
// file, 2 GiB a text, less where a normalization may lengthen it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rung::text {

class TokenizerEngine;

// Tokens of one text. begins/ends are byte offsets into the text given to encode(); tokens added by
// the post-processor have begin == end.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<int32_t> begins;
  std::vector<int32_t> ends;
};

enum class SpecialTokens { kAdd, kOmit };   // encode: run the post-processor (BOS, EOS) or not
enum class SpecialOutput { kKeep, kSkip };  // decode: print special tokens or leave them out

class Tokenizer {
 public:
  // Reads tokenizer.json, else tokenizer.model, and what lies beside them: tokenizer_config.json
  // (optional: bos/eos/pad/unk names), and for tokenizer.model also special_tokens_map.json and
  // added_tokens.json. Throws Error: kConfig where both are absent or a file asks for something
  // not supported, kDamaged where it is malformed.
  static Tokenizer load(const std::filesystem::path& model_dir);

  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Throws Error kConfig where `text` is no valid UTF-8: nothing is replaced silently.
  Encoding encode(std::string_view text, SpecialTokens special) const;
  // Ids that do not exist are left out.
  std::string decode(std::span<const int32_t> ids, SpecialOutput special) const;
  // True where the text of `id` depends on the tokens behind it (text/stream_decoder.h).
  bool waits_behind(int32_t id) const;

  // The raw vocabulary entry ("Ġhello", "▁hello"), empty for ids that do not exist.
  std::string id_to_token(int32_t id) const;
  std::optional<int32_t> token_to_id(std::string_view token) const;
  // Largest id + 1, added tokens included.
  int32_t vocab_size() const;

  // From tokenizer_config.json; absent where the folder does not name them. With tokenizer.model,
  // <s>, </s> and <unk> are what is meant where it says nothing.
  std::optional<int32_t> bos_id() const;
  std::optional<int32_t> eos_id() const;
  std::optional<int32_t> pad_id() const;
  std::string bos_token() const;  // "" where absent
  std::string eos_token() const;
  std::string pad_token() const;
  std::string unk_token() const;

  // Oddities of the files that did not stop them from loading, a line each, for the user to see.
  const std::vector<std::string>& notes() const;

 private:
  explicit Tokenizer(std::unique_ptr<const TokenizerEngine> engine);
  std::optional<int32_t> find_named(const std::string& name) const;

  std::unique_ptr<const TokenizerEngine> engine_;
};

}  // namespace rung::text
