#include "text/tokenizer/named_tokens.h"

#include <system_error>

#include "base/json.h"

namespace rung::text {

std::string read_token_name(const JsonField& field) {
  if (field.is_null()) return "";
  return field.json().is_object() ? field["content"].string() : field.string();
}

NamedTokens read_named_tokens(const std::filesystem::path& path) {
  std::error_code unreadable;  // is reported when the file is read
  if (!std::filesystem::exists(path, unreadable) && !unreadable) return {};
  const Json json = read_json_file(path);
  const JsonField config(json, path.string());
  return {.bos = read_token_name(config["bos_token"]),
          .eos = read_token_name(config["eos_token"]),
          .pad = read_token_name(config["pad_token"]),
          .unk = read_token_name(config["unk_token"])};
}

}  // namespace rung::text
