#include "data/encode_chat.h"

#include <utility>

#include "base/error.h"
#include "data/chat_record.h"
#include "text/chat_labels.h"

namespace rung::data {

Example encode_chat(const Record& record, const DatasetConfig& config,
                    const EncodeContext& context) {
  if (context.chat_template == nullptr) {
    throw Error(ExitCode::kConfig, {.what = "a chat_template data set needs a chat template",
                                    .hint = "set chat_template_jinja",
                                    .where = record.source});
  }
  ChatRecord chat = read_chat(record, config, context.run.roles_to_train);
  const text::ChatContext variables{.bos_token = context.tokenizer.bos_token(),
                                    .eos_token = context.tokenizer.eos_token(),
                                    .tools = std::move(chat.tools),
                                    .extra = std::move(chat.extra)};
  const text::ChatLabelOptions options{.train_on_inputs = context.run.train_on_inputs,
                                       .roles_to_train = context.run.roles_to_train,
                                       .train_on_eos = context.run.train_on_eos};
  try {
    text::LabelledTokens tokens = text::label_chat(*context.chat_template, context.tokenizer,
                                                   chat.messages, variables, options);
    return {.input_ids = std::move(tokens.ids),
            .labels = std::move(tokens.labels),
            .source = record.source};
  } catch (const Error& error) {
    // The template knows its own line; the reader needs the record's as well.
    ErrorParts parts = error.parts();
    parts.where = parts.where.empty() ? record.source : record.source + ", " + parts.where;
    throw Error(error.code(), std::move(parts));
  }
}

}  // namespace rung::data
