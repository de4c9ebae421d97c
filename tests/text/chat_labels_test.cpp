#include "text/chat_labels.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace rung::text {
namespace {

constexpr const char* kChatMl =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

constexpr const char* kWithBlocks =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content + '<|im_end|>\n' }}{% endgeneration %}{% else %}"
    "{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}";

// The end-of-turn token stands behind the block.
constexpr const char* kEndOutsideBlocks =
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}";

const Json kMessages = Json::parse(R"([{"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Grüße 世界"}, {"role": "user", "content": "And now?"},
    {"role": "assistant", "content": "Nothing more."}])");

class ChatLabels : public ::testing::Test {
 protected:
  // The text of the learnt tokens, runs of them between bars.
  std::string learnt(const std::string& source, const ChatLabelOptions& options,
                     const Json& messages = kMessages) const {
    const LabelledTokens tokens =
        label_chat(ChatTemplate(source, "t"), tokenizer_, messages, {}, options);
    EXPECT_EQ(tokens.ids.size(), tokens.labels.size());
    std::string text;
    std::vector<int32_t> run;
    for (size_t i = 0; i <= tokens.labels.size(); ++i) {
      if (i < tokens.labels.size() && tokens.labels[i] != kIgnoreLabel) {
        EXPECT_EQ(tokens.labels[i], tokens.ids[i]);
        run.push_back(tokens.labels[i]);
      } else if (!run.empty()) {
        text += tokenizer_.decode(run, SpecialOutput::kKeep) + "|";
        run.clear();
      }
    }
    return text;
  }

  Tokenizer tokenizer_ =
      Tokenizer::load(std::filesystem::path(RUNG_TEST_DATA) / "golden/tokenizer/smollm");
};

TEST_F(ChatLabels, AreTheAnswersAndTheirEndOfTurn) {
  EXPECT_EQ(learnt(kChatMl, {}), "Grüße 世界<|im_end|>|Nothing more.<|im_end|>|");
}

TEST_F(ChatLabels, FollowGenerationBlocks) {
  EXPECT_EQ(learnt(kWithBlocks, {}), "Grüße 世界<|im_end|>\n|Nothing more.<|im_end|>\n|");
}

TEST_F(ChatLabels, TakeTheEosTokenBehindABlock) {
  EXPECT_EQ(learnt(kEndOutsideBlocks, {}), "Grüße 世界<|im_end|>|Nothing more.<|im_end|>|");
}

TEST_F(ChatLabels, LearnEveryEndOfTurn) {
  EXPECT_EQ(learnt(kChatMl, {.train_on_eos = TrainOnEos::kAll}),
            "<|im_end|>|Grüße 世界<|im_end|>|<|im_end|>|Nothing more.<|im_end|>|");
}

TEST_F(ChatLabels, LearnTheLastEndOfTurnOnly) {
  EXPECT_EQ(learnt(kChatMl, {.train_on_eos = TrainOnEos::kLast}),
            "Grüße 世界|Nothing more.<|im_end|>|");
}

TEST_F(ChatLabels, LearnNoEndOfTurn) {
  EXPECT_EQ(learnt(kChatMl, {.train_on_eos = TrainOnEos::kNone}), "Grüße 世界|Nothing more.|");
}

TEST_F(ChatLabels, LearnOtherRoles) {
  EXPECT_EQ(learnt(kChatMl, {.roles_to_train = {"user"}}), "Hello<|im_end|>|And now?<|im_end|>|");
}

TEST_F(ChatLabels, LearnEverythingOnInputs) {
  const LabelledTokens tokens =
      label_chat(ChatTemplate(kChatMl, "t"), tokenizer_, kMessages, {}, {.train_on_inputs = true});
  EXPECT_EQ(tokens.labels, tokens.ids);
}

TEST_F(ChatLabels, AreNoneWithoutAnswers) {
  EXPECT_EQ(learnt(kChatMl, {}, Json::parse(R"([{"role": "user", "content": "Hello"}])")), "");
}

TEST_F(ChatLabels, HaveTheIdsOfTheWholeText) {
  const ChatTemplate chat_template(kChatMl, "t");
  const std::string text = chat_template.render(kMessages, false, {}).text;
  EXPECT_EQ(label_chat(chat_template, tokenizer_, kMessages, {}, {}).ids,
            tokenizer_.encode(text, SpecialTokens::kOmit).ids);
}

// " the" is one token that begins before the block: its first byte is outside.
TEST_F(ChatLabels, LeaveOutATokenThatBeginsBeforeTheSpan) {
  const std::string split_token =
      "{% for m in messages %}x {% generation %}{{ m.content }}{% endgeneration %}{% endfor %}";
  EXPECT_EQ(
      learnt(split_token, {}, Json::parse(R"([{"role": "assistant", "content": "the fox"}])")),
      " fox|");
}

}  // namespace
}  // namespace rung::text
