#include "text/chat_spans.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "tests/support/expect_error.h"

namespace rung::text {
namespace {

using rung::testing::expect_error;

constexpr const char* kChatMl =
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

// Keeps the thinking of the last turn only, and opens it in the generation prompt.
constexpr const char* kStripsThinking =
    "{% for m in messages %}<|{{ m.role }}|>\n"
    "{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1] | trim }}"
    "{% else %}{{ m.content | trim }}{% endif %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% if open %}<think>{% endif %}{% endif %}";

Json chat(const std::vector<std::pair<std::string, std::string>>& turns) {
  Json messages = Json::array();
  for (const auto& [role, content] : turns)
    messages.push_back({{"role", role}, {"content", content}});
  return messages;
}

std::vector<std::string> learnt(const std::string& source, const Json& messages,
                                const std::vector<std::string>& roles = {"assistant"},
                                const ChatContext& context = {}) {
  const LearntText found = find_learnt_text(ChatTemplate(source, "t"), messages, context, roles);
  std::vector<std::string> texts;
  for (const Span& span : found.spans)
    texts.push_back(found.text.substr(span.begin, span.end - span.begin));
  return texts;
}

using Texts = std::vector<std::string>;

TEST(ChatSpans, AreTheTurnsWithTheirEndMarker) {
  EXPECT_EQ(
      learnt(kChatMl, chat({{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}})),
      (Texts{"b<|im_end|>", "d<|im_end|>"}));
}

TEST(ChatSpans, SurviveADefaultSystemPrompt) {
  EXPECT_EQ(learnt(kChatMl, chat({{"system", "s"}, {"user", "a"}, {"assistant", "b"}})),
            Texts{"b<|im_end|>"});
}

TEST(ChatSpans, DoNotMistakeEqualTurns) {
  const LearntText found = find_learnt_text(
      ChatTemplate(kChatMl, "t"), chat({{"user", "x"}, {"assistant", "x"}}), {}, {"assistant"});
  ASSERT_EQ(found.spans.size(), 1u);
  EXPECT_EQ(found.spans[0].begin, found.text.rfind("x<|im_end|>"));
}

TEST(ChatSpans, OfOtherRolesBeginAtTheirContent) {
  EXPECT_EQ(learnt(kChatMl, chat({{"user", "a"}, {"assistant", "b"}}), {"user"}),
            Texts{"a<|im_end|>"});
}

TEST(ChatSpans, OfAConversationThatTheAssistantBegins) {
  EXPECT_EQ(learnt(kChatMl, chat({{"assistant", "a"}, {"user", "b"}})), Texts{"a<|im_end|>"});
}

TEST(ChatSpans, OfConsecutiveAssistantTurns) {
  EXPECT_EQ(learnt(kChatMl, chat({{"user", "a"}, {"assistant", "b"}, {"assistant", "c"}})),
            (Texts{"b<|im_end|>", "c<|im_end|>"}));
}

TEST(ChatSpans, AreWhatIsLeftOfTurnsWhoseThinkingIsDropped) {
  const Json messages = chat({{"user", "a"},
                              {"assistant", "<think>x</think>b"},
                              {"user", "c"},
                              {"assistant", "<think>y</think>d"}});
  EXPECT_EQ(learnt(kStripsThinking, messages), (Texts{"b<|end|>", "<think>y</think>d<|end|>"}));
}

TEST(ChatSpans, BeginAtTheContentWhereThePromptOpensThinking) {
  ChatContext context;
  context.extra["open"] = true;
  const Json messages =
      chat({{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}});
  EXPECT_EQ(learnt(kStripsThinking, messages, {"assistant"}, context),
            (Texts{"b<|end|>", "d<|end|>"}));
}

TEST(ChatSpans, TakeTrimmedContent) {
  EXPECT_EQ(learnt(kStripsThinking, chat({{"user", "a"}, {"assistant", " b \n"}, {"user", "c"}})),
            Texts{"b<|end|>"});
}

TEST(ChatSpans, TakeContentInParts) {
  const Json messages = Json::parse(R"([{"role": "user", "content": "a"},
      {"role": "assistant", "content": [{"type": "text", "text": "b"}]}])");
  EXPECT_EQ(learnt("{% for m in messages %}[{{ m.role }}]{% if m.content is string %}"
                   "{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}</s>{% endfor %}"
                   "{% if add_generation_prompt %}[assistant]{% endif %}",
                   messages),
            Texts{"b</s>"});
}

TEST(ChatSpans, AreTheGenerationBlocksWhereThereAreAny) {
  EXPECT_EQ(learnt("{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
                   "{{ m.content }}.\n{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
                   "{% endfor %}",
                   chat({{"user", "a"}, {"assistant", "b"}})),
            Texts{"b.\n"});
}

TEST(ChatSpans, AreNoneWithoutTrainedRoles) {
  EXPECT_EQ(learnt(kChatMl, chat({{"user", "a"}, {"assistant", "b"}}), {}), Texts{});
}

TEST(ChatSpans, OfEmptyAnswersAreTheEndMarker) {
  EXPECT_EQ(learnt(kChatMl, chat({{"user", "a"}, {"assistant", ""}})), Texts{"<|im_end|>"});
}

// An EOS token behind the last turn only.
TEST(ChatSpans, EndWithTheMarkerThatEveryTurnHas) {
  const std::string eos_at_end =
      "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|assistant|>{% else %}</s>{% endif %}";
  EXPECT_EQ(learnt(eos_at_end,
                   chat({{"user", "a"}, {"assistant", "b"}, {"user", "c"}, {"assistant", "d"}})),
            (Texts{"b<|end|>", "d<|end|>\n</s>"}));
}

// Thinking is opened for the last turn only, so that a turn looks different when it is the last.
TEST(ChatSpans, TakeToolCallsOfEarlierTurns) {
  const std::string source =
      "{% for m in messages %}<|{{ m.role }}|>\n"
      "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
      "{{ m.content }}{% for c in m.tool_calls %}<call>{{ c.function | tojson }}</call>"
      "{% endfor %}<|end|>\n{% endfor %}"
      "{% if add_generation_prompt %}<|assistant|>\n{% endif %}";
  const Json messages = Json::parse(R"([{"role": "user", "content": "a"},
      {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "x": 1}}]},
      {"role": "tool", "content": "2"}, {"role": "assistant", "content": "b"}])");
  EXPECT_EQ(learnt(source, messages), (Texts{"<call>{\"name\": \"f\", \"x\": 1}</call><|end|>",
                                             "<think>\n\n</think>\n\nb<|end|>"}));
}

TEST(ChatSpans, FailWhereTheTemplateDropsTheTurn) {
  const std::string keeps_last =
      "{{ messages[-1].content }}{% if add_generation_prompt %}>{% endif %}";
  expect_error(ExitCode::kConfig, "message 2", [&] {
    learnt(keeps_last, chat({{"user", "a"}, {"assistant", "b"}, {"user", "c"}}));
  });
}

TEST(ChatSpans, FailuresQuoteWhatDiffers) {
  const std::string numbers =
      "{{ messages|length }}:{% for m in messages %}{{ m.role }};{% endfor %}";
  expect_error(ExitCode::kConfig, "{% generation %}", [&] {
    learnt(numbers, chat({{"user", "a"}, {"assistant", "b"}, {"user", "c"}}));
  });
}

}  // namespace
}  // namespace rung::text
