// Token ids and labels of a conversation.
//
// The whole conversation is rendered once and tokenized once, without the tokenizer's own special
// tokens (the template writes them). A token is learnt if its first byte lies in a span to learn
// (text/chat_spans.h says which those are); it keeps its label, every other token gets
// kIgnoreLabel. The end-of-turn token of a turn is the special token that ends its span, or the
// model's EOS token right behind it; train_on_eos says which of them are learnt:
//   turn  those of the learnt turns
//   all   every occurrence in the conversation of a token that ends a learnt turn, and of EOS
//   last  that of the last learnt turn only
//   none  none
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/run_config.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace rung::text {

inline constexpr int32_t kIgnoreLabel = -100;  // Hugging Face's value

struct ChatLabelOptions {
  bool train_on_inputs = false;  // everything is learnt
  std::vector<std::string> roles_to_train = {"assistant"};
  TrainOnEos train_on_eos = TrainOnEos::kTurn;
};

struct LabelledTokens {
  std::vector<int32_t> ids;
  std::vector<int32_t> labels;  // as long as ids; not shifted
};

// Throws Error kConfig where the template fails or does not tell what to learn.
LabelledTokens label_chat(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                          const Json& messages, const ChatContext& context,
                          const ChatLabelOptions& options);

}  // namespace rung::text
