#include "data/encode.h"

#include <fmt/format.h>

#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/units.h"
#include "data/encode_chat.h"

namespace rung::data {
namespace {

enum class Learn { kNo, kYes };

void append(Example& example, std::span<const int32_t> ids, Learn learn) {
  example.input_ids.insert(example.input_ids.end(), ids.begin(), ids.end());
  for (const int32_t id : ids) example.labels.push_back(learn == Learn::kYes ? id : kIgnore);
}

Learn learn_if(bool condition) { return condition ? Learn::kYes : Learn::kNo; }

int32_t require_eos(const Record& record, const text::Tokenizer& tokenizer) {
  if (const std::optional<int32_t> eos = tokenizer.eos_id()) return *eos;
  throw Error(ExitCode::kConfig,
              {.what = "the tokenizer names no end-of-text token, which this type of data needs",
               .hint = "set eos_token in tokenizer_config.json",
               .where = record.source});
}

// Text at the start of a document: with BOS where the tokenizer adds one, and without the EOS that
// some add, so that text can follow.
std::vector<int32_t> encode_opening(const text::Tokenizer& tokenizer, const std::string& text) {
  text::Encoding encoding = tokenizer.encode(text, text::SpecialTokens::kAdd);
  const std::optional<int32_t> eos = tokenizer.eos_id();
  while (!encoding.ids.empty() && eos && encoding.ids.back() == *eos &&
         encoding.begins.back() == encoding.ends.back()) {
    encoding.ids.pop_back();
    encoding.begins.pop_back();
    encoding.ends.pop_back();
  }
  return std::move(encoding.ids);
}

void append_eos(Example& example, int32_t eos) {
  const bool written = !example.input_ids.empty() && example.input_ids.back() == eos;
  if (!written) append(example, std::span(&eos, 1), Learn::kYes);
}

// The prompt format of Stanford Alpaca, which models tuned on such data expect word for word.
std::string alpaca_prompt(const Record& record) {
  const std::string& instruction = require_text(record, "instruction");
  const std::string input = optional_text(record, "input");
  const std::string system = optional_text(record, "system");
  const std::string opening =
      !system.empty() ? system
      : input.empty()
          ? "Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request."
          : "Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.";
  const std::string context = input.empty() ? "" : fmt::format("### Input:\n{}\n\n", input);
  return fmt::format("{}\n\n### Instruction:\n{}\n\n{}### Response:\n", opening, instruction,
                     context);
}

Example encode_alpaca(const Record& record, const EncodeContext& context) {
  Example example{.source = record.source};
  const std::string& output = require_text(record, "output");
  append(example, encode_opening(context.tokenizer, alpaca_prompt(record)),
         learn_if(context.run.train_on_inputs));
  // By itself, so that the boundary between prompt and answer is the one met when generating.
  append(example, context.tokenizer.encode(output, text::SpecialTokens::kOmit).ids, Learn::kYes);
  append_eos(example, require_eos(record, context.tokenizer));
  return example;
}

Example encode_completion(const Record& record, const DatasetConfig& config,
                          const EncodeContext& context) {
  Example example{.source = record.source};
  const std::string& text = require_text(record, config.field);
  append(example, encode_opening(context.tokenizer, text), Learn::kYes);
  append_eos(example, require_eos(record, context.tokenizer));
  return example;
}

Example encode_input_output(const Record& record, const EncodeContext& context) {
  Example example{.source = record.source};
  const Json& segments = require_array(record, "segments");
  for (size_t i = 0; i < segments.size(); ++i) {
    const Json& segment = segments[i];
    const bool sound = segment.is_object() && segment.contains("label") &&
                       segment["label"].is_boolean() && segment.contains("text") &&
                       segment["text"].is_string();
    if (!sound) {
      throw Error(ExitCode::kConfig,
                  {.what = fmt::format("segment {} is not sound", i + 1),
                   .got = segment.is_object() ? list_keys(segment) : segment.type_name(),
                   .expected = "{\"label\": true or false, \"text\": \"...\"}",
                   .where = record.source});
    }
    append(example,
           context.tokenizer
               .encode(segment["text"].get_ref<const std::string&>(), text::SpecialTokens::kOmit)
               .ids,
           learn_if(segment["label"].get<bool>() || context.run.train_on_inputs));
  }
  return example;
}

// The integers of the array `name`; every one in [lowest, 2^31).
std::vector<int32_t> read_integers(const Record& record, const std::string& name, int64_t lowest) {
  const Json& array = require_array(record, name);
  std::vector<int32_t> values;
  values.reserve(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    const bool fits = array[i].is_number_unsigned()
                          ? array[i].get<uint64_t>() <= INT32_MAX
                          : array[i].is_number_integer() && array[i].get<int64_t>() >= lowest;
    if (!fits) {
      throw Error(ExitCode::kConfig, {.what = fmt::format("{}[{}] is not valid", name, i),
                                      .got = array[i].dump(),
                                      .expected = "a token id",
                                      .where = record.source});
    }
    values.push_back(array[i].get<int32_t>());
  }
  return values;
}

void refuse_masked(const Record& record, size_t length) {
  if (!record.value.contains("attention_mask")) return;
  const std::vector<int32_t> mask = read_integers(record, "attention_mask", 0);
  for (const int32_t value : mask) {
    if (value == 1 && mask.size() == length) continue;
    throw Error(ExitCode::kConfig, {.what = "the attention_mask hides tokens",
                                    .expected = "one 1 for each of input_ids",
                                    .hint = "remove padding: rung needs none",
                                    .where = record.source});
  }
}

Example encode_tokenized(const Record& record) {
  Example example{.input_ids = read_integers(record, "input_ids", 0), .source = record.source};
  refuse_masked(record, example.input_ids.size());
  example.labels = record.value.contains("labels") ? read_integers(record, "labels", kIgnore)
                                                   : example.input_ids;
  if (example.labels.size() != example.input_ids.size()) {
    throw Error(ExitCode::kConfig, {.what = "labels and input_ids differ in length",
                                    .got = format_counted(std::ssize(example.labels), "label"),
                                    .expected = fmt::format("{}", example.input_ids.size()),
                                    .where = record.source});
  }
  for (size_t i = 0; i < example.labels.size(); ++i) {
    if (example.labels[i] == kIgnore || example.labels[i] == example.input_ids[i]) continue;
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("labels[{}] does not fit input_ids[{}]", i, i),
                 .got = fmt::format("{}", example.labels[i]),
                 .expected = fmt::format("-100 or {}", example.input_ids[i]),
                 .hint = "labels are aligned with input_ids, not shifted",
                 .where = record.source});
  }
  return example;
}

void check_vocabulary(const Example& example, int64_t vocab_size) {
  for (size_t i = 0; i < example.input_ids.size(); ++i) {
    if (example.input_ids[i] < vocab_size) continue;
    throw Error(ExitCode::kConfig,
                {.what = fmt::format("token {} of the record is outside the model's vocabulary", i),
                 .got = fmt::format("id {}", example.input_ids[i]),
                 .expected = fmt::format("0..{}", vocab_size - 1),
                 .hint = "the data was made with another tokenizer, or the tokenizer has tokens "
                         "that the model lacks",
                 .where = example.source});
  }
}

}  // namespace

Example encode_record(const Record& record, const DatasetConfig& config,
                      const EncodeContext& context) {
  Example example;
  switch (config.type) {
    case DatasetType::kChatTemplate:
      example = encode_chat(record, config, context);
      break;
    case DatasetType::kAlpaca:
      example = encode_alpaca(record, context);
      break;
    case DatasetType::kCompletion:
      example = encode_completion(record, config, context);
      break;
    case DatasetType::kInputOutput:
      example = encode_input_output(record, context);
      break;
    case DatasetType::kTokenized:
      example = encode_tokenized(record);
      break;
  }
  check_vocabulary(example, context.vocab_size);
  return example;
}

}  // namespace rung::data
