#include "text/tokenizer/post_processor.h"

#include <algorithm>

#include "text/unicode.h"

namespace rung::text {
namespace {

constexpr char32_t kSpelledSpace = 0x120;  // ' ' in the byte alphabet

bool is_space(char32_t c) { return c == kSpelledSpace || is_white_space(c); }

int32_t count_leading_spaces(std::string_view token) {
  int32_t count = 0;
  for (size_t i = 0; i < token.size(); ++count) {
    const CodePoint c = code_point_at(token, i);
    if (!is_space(c.value)) break;
    i += c.length;
  }
  return count;
}

int32_t count_trailing_spaces(std::string_view token) {
  int32_t count = 0;
  for (size_t end = token.size(); end > 0; ++count) {
    const CodePoint c = code_point_before(token, end);
    if (!is_space(c.value)) break;
    end -= c.length;
  }
  return count;
}

// Moves both ends of a token's range over its white space, a character of text at a time.
void trim(std::string_view text, std::string_view token, bool keep_one, int32_t& begin,
          int32_t& end) {
  int32_t leading = count_leading_spaces(token);
  int32_t trailing = count_trailing_spaces(token);
  if (keep_one && leading == 1) leading = 0;
  for (; leading > 0 && begin < end; --leading) {
    begin += static_cast<int32_t>(code_point_at(text, static_cast<size_t>(begin)).length);
  }
  for (; trailing > 0 && end > begin; --trailing) {
    end -= static_cast<int32_t>(code_point_before(text, static_cast<size_t>(end)).length);
  }
}

std::vector<int32_t> read_ids(const JsonField& field) {
  std::vector<int32_t> ids;
  for (const JsonField& id : field.elements()) ids.push_back(id.integer(kMaxTokenId));
  return ids;
}

// ["[SEP]", 102]
int32_t read_named_id(const JsonField& field) {
  const std::vector<JsonField> parts = field.elements();
  if (parts.size() != 2) field.fail("a token and its id");
  return parts[1].integer(kMaxTokenId);
}

void insert(const std::vector<int32_t>& ids, size_t at, Encoding& encoding) {
  const auto offset = static_cast<std::ptrdiff_t>(at);
  encoding.ids.insert(encoding.ids.begin() + offset, ids.begin(), ids.end());
  encoding.begins.insert(encoding.begins.begin() + offset, ids.size(), 0);
  encoding.ends.insert(encoding.ends.begin() + offset, ids.size(), 0);
}

}  // namespace

PostProcessor::PostProcessor(const JsonField& field) {
  if (!field.is_null()) read(field);
}

void PostProcessor::read(const JsonField& field) {
  const std::string& type = field.type();
  if (type == "Sequence") {
    for (const JsonField& element : field["processors"].elements()) read(element);
  } else if (type == "TemplateProcessing") {
    read_template(field);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    read_classifier(field);
  } else if (type == "ByteLevel") {
    if (field["trim_offsets"].boolean_or(true)) {
      steps_.push_back({.keep_prefix_space = field["add_prefix_space"].boolean_or(true)});
    }
  } else {
    field.refuse("the post-processor " + type);
  }
}

void PostProcessor::read_template(const JsonField& field) {
  Step step{.kind = Step::Kind::kSurround};
  int num_texts = 0;
  const JsonField special_tokens = field["special_tokens"];
  for (const JsonField& piece : field["single"].elements()) {
    const JsonField special = piece["SpecialToken"];
    const JsonField sequence = piece["Sequence"];
    if (!special.is_null()) {
      const JsonField entry = special_tokens[special["id"].string()];
      if (entry.is_null()) special["id"].fail("a token of special_tokens");
      std::vector<int32_t>& side = num_texts == 0 ? step.before : step.after;
      const std::vector<int32_t> ids = read_ids(entry["ids"]);
      side.insert(side.end(), ids.begin(), ids.end());
    } else if (!sequence.is_null() && sequence["id"].string() == "A") {
      ++num_texts;
    } else {
      piece.fail("a SpecialToken or the Sequence A");
    }
  }
  if (num_texts != 1) field["single"].refuse("a template without or with several sequences");
  steps_.push_back(std::move(step));
}

void PostProcessor::read_classifier(const JsonField& field) {
  const bool roberta = field.type() == "RobertaProcessing";
  if (roberta && field["trim_offsets"].boolean_or(true)) {
    steps_.push_back({.keep_prefix_space = field["add_prefix_space"].boolean_or(true)});
  }
  steps_.push_back({.kind = Step::Kind::kSurround,
                    .before = {read_named_id(field["cls"])},
                    .after = {read_named_id(field["sep"])}});
}

void PostProcessor::apply(const Input& input, Encoding& encoding) const {
  size_t offset = 0;  // index of the text's first token: surroundings stay as they are
  const size_t count = encoding.ids.size();
  for (const Step& step : steps_) {
    if (step.kind == Step::Kind::kTrim) {
      for (size_t i = 0; i < count; ++i) {
        int32_t& begin = encoding.begins[offset + i];
        const bool keep_one = step.keep_prefix_space && (offset + i == 0 || begin == 0);
        trim(input.text, input.token_text(i), keep_one, begin, encoding.ends[offset + i]);
      }
    } else if (input.special == SpecialTokens::kAdd) {
      insert(step.before, 0, encoding);
      insert(step.after, encoding.ids.size(), encoding);
      offset += step.before.size();
    }
  }
}

}  // namespace rung::text
