#include "text/tokenizer/sentencepiece_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <system_error>

#include "base/json.h"

namespace rung::text {
namespace {

namespace fs = std::filesystem;

constexpr std::array kNames = {"bos_token", "eos_token", "unk_token", "sep_token",
                               "pad_token", "cls_token", "mask_token"};

Json read_if_there(const fs::path& path) {
  std::error_code unreadable;  // is reported when the file is read
  if (!fs::exists(path, unreadable) && !unreadable) return Json::object();
  return read_json_file(path);
}

// An explicit null is false: these are Python's truth values.
bool read_flag(const JsonField& config, const std::string& key, bool if_absent) {
  return config[key].boolean_or(if_absent && !config.json().contains(key));
}

// `special` is what a plain string means.
AddedToken read_token(const JsonField& field, bool special) {
  if (!field.json().is_object()) {
    return {.content = field.string(), .normal = {}, .normalized = !special, .special = special};
  }
  return {.content = field["content"].string(),
          .normal = {},
          .single_word = field["single_word"].boolean_or(false),
          .lstrip = field["lstrip"].boolean_or(false),
          .rstrip = field["rstrip"].boolean_or(false),
          .normalized = field["normalized"].boolean_or(true),
          .special = field["special"].boolean_or(special)};
}

// {"32000": {"content": "<pad>", ...}, ...}
void read_added_decoder(const JsonField& decoder, SentencePieceSettings& settings) {
  if (!decoder.json().is_object()) decoder.fail("an object of id to token");
  for (const auto& entry : decoder.json().get_ref<const Json::object_t&>()) {
    const std::string& key = entry.first;
    const JsonField field(entry.second, decoder.where(), key);
    int32_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id > kMaxTokenId) {
      decoder.fail(fmt::format("ids in 0..{} as keys, not \"{}\"", kMaxTokenId, key));
    }
    settings.added.push_back({.id = id, .token = read_token(field, false)});
  }
}

// {"<pad>": 32000, ...}
void read_added_map(const JsonField& map, SentencePieceSettings& settings) {
  if (!map.json().is_object()) map.fail("an object of token to id");
  for (const auto& entry : map.json().get_ref<const Json::object_t&>()) {
    const JsonField id(entry.second, map.where(), entry.first);
    const bool special =
        std::any_of(settings.specials.begin(), settings.specials.end(),
                    [&](const auto& named) { return named.content == entry.first; });
    settings.added.push_back(
        {.id = id.integer(kMaxTokenId),
         .token = {
             .content = entry.first, .normal = {}, .normalized = !special, .special = special}});
  }
}

// `map` is special_tokens_map.json, or empty.
void read_specials(const JsonField& config, const JsonField& map, SentencePieceSettings& settings) {
  const std::map<std::string, std::string*> places = {{"bos_token", &settings.named.bos},
                                                      {"eos_token", &settings.named.eos},
                                                      {"pad_token", &settings.named.pad},
                                                      {"unk_token", &settings.named.unk}};
  for (const std::string name : kNames) {
    const JsonField& file = map.json().contains(name) ? map : config;
    const auto place = places.find(name);
    AddedToken token{.special = true};
    if (file.json().contains(name)) {
      if (!file[name].is_null()) token = read_token(file[name], true);
    } else if (place != places.end()) {
      token.content = *place->second;
    }
    if (place != places.end()) *place->second = token.content;
    if (!token.content.empty()) settings.specials.push_back(std::move(token));
  }
  for (const JsonField& file :
       {config["additional_special_tokens"], map["additional_special_tokens"]}) {
    if (file.is_null()) continue;
    for (const JsonField& element : file.elements()) {
      settings.specials.push_back(read_token(element, true));
    }
  }
}

// What makes another tokenizer of the same model file.
void check_class(const JsonField& config) {
  const std::string name = config["tokenizer_class"].string_or("LlamaTokenizer");
  if (name != "LlamaTokenizer" && name != "LlamaTokenizerFast") {
    config["tokenizer_class"].refuse("the tokenizer class " + name + " without a tokenizer.json");
  }
  const JsonField options = config["sp_model_kwargs"];
  if (!options.is_null() && !options.json().empty()) options.refuse("an option of SentencePiece");
}

}  // namespace

SentencePieceSettings read_sentencepiece_settings(const fs::path& model_dir) {
  const fs::path path = model_dir / "tokenizer_config.json";
  const Json json = read_if_there(path);
  const JsonField config(json, path.string());
  check_class(config);
  SentencePieceSettings settings;
  settings.legacy = config["legacy"].boolean_or(true);
  settings.add_prefix_space = read_flag(config, "add_prefix_space", true);
  settings.add_bos = read_flag(config, "add_bos_token", true);
  settings.add_eos = read_flag(config, "add_eos_token", false);

  const JsonField decoder = config["added_tokens_decoder"];
  const fs::path map_path = model_dir / "special_tokens_map.json";
  const Json map_json = decoder.is_null() ? read_if_there(map_path) : Json::object();
  const JsonField map(map_json, map_path.string());
  if (!map_json.is_object()) map.fail("an object");
  read_specials(config, map, settings);
  if (!decoder.is_null()) {
    read_added_decoder(decoder, settings);
  } else {
    const fs::path added_path = model_dir / "added_tokens.json";
    const Json added = read_if_there(added_path);
    read_added_map(JsonField(added, added_path.string()), settings);
  }
  return settings;
}

}  // namespace rung::text
