#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace rung::text {
namespace {

using rung::testing::expect_error;
using rung::testing::TempDir;

const Json kChat = Json::parse(R"([{"role": "user", "content": "Hi"},
                                   {"role": "assistant", "content": "Grüße"}])");

std::string render(const std::string& source, const ChatContext& context = {}) {
  return ChatTemplate(source, "t").render(kChat, true, context).text;
}

TEST(ChatTemplate, SeesMessagesAndPrompt) {
  EXPECT_EQ(render("{% for m in messages %}{{ m.role }}={{ m['content'] }};{% endfor %}"
                   "{{ add_generation_prompt }}"),
            "user=Hi;assistant=Grüße;True");
}

TEST(ChatTemplate, TellsGenerationSpansInBytes) {
  const ChatTemplate chat_template(
      "{% for m in messages %}{% if m.role == 'user' %}é{{ m.content }}{% else %}"
      "{% generation %}{{ m.content }}!{% endgeneration %}.{% endif %}{% endfor %}",
      "t");
  const RenderedChat chat = chat_template.render(kChat, false, {});
  ASSERT_EQ(chat.generation.size(), 1u);
  EXPECT_EQ(
      chat.text.substr(chat.generation[0].begin, chat.generation[0].end - chat.generation[0].begin),
      "Grüße!");
  EXPECT_TRUE(chat_template.has_generation_blocks());
}

TEST(ChatTemplate, LeavesAbsentSpecialTokensUndefined) {
  EXPECT_EQ(
      render("{{ bos_token }}{{ bos_token is defined }}{{ eos_token }}", {.eos_token = "</s>"}),
      "False</s>");
}

TEST(ChatTemplate, PassesToolsAndExtraVariables) {
  ChatContext context{.tools = Json::array({1}), .extra = Json::object()};
  context.extra["enable_thinking"] = false;
  EXPECT_EQ(render("{{ tools }}{{ enable_thinking is false }}{{ documents is none }}", context),
            "[1]TrueTrue");
}

TEST(ChatTemplate, HasNoToolsUnlessGiven) { EXPECT_EQ(render("{{ tools is none }}"), "True"); }

TEST(ChatTemplate, PassesReasoningUnderBothNames) {
  const Json messages = Json::parse(R"([{"role": "assistant", "reasoning": "hm"}])");
  EXPECT_EQ(ChatTemplate("{{ messages[0].thinking }}{{ messages[0].reasoning_content }}", "t")
                .render(messages, false, {})
                .text,
            "hmhm");
}

TEST(ChatTemplate, TellsTheGivenTime) {
  std::tm now{};
  now.tm_year = 124;
  now.tm_mon = 1;
  now.tm_mday = 29;
  EXPECT_EQ(render("{{ strftime_now('%A %d %b %Y') }}", {.now = now}), "Thursday 29 Feb 2024");
}

TEST(ChatTemplate, NamesTheLineThatRaises) {
  expect_error(ExitCode::kConfig, "roles must alternate (t:2)",
               [] { render("x\n{{ raise_exception('roles must alternate') }}"); });
}

TEST(ChatTemplate, NamesTheLineOfASyntaxError) {
  expect_error(ExitCode::kConfig, "t:3", [] { ChatTemplate("a\n\n{% if %}", "t"); });
}

TEST(ChatTemplate, RefusesMessagesThatAreNoList) {
  expect_error(ExitCode::kConfig, "must be a list",
               [] { ChatTemplate("", "t").render(Json::object(), false, {}); });
}

TEST(ChatTemplateOfModel, IsItsFile) {
  const TempDir dir;
  dir.write("chat_template.jinja", "file");
  dir.write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(ChatTemplate::from_model(dir.path()).source(), "file");
}

TEST(ChatTemplateOfModel, IsTheTextInTheConfiguration) {
  const TempDir dir;
  dir.write("tokenizer_config.json", R"({"chat_template": "config"})");
  EXPECT_EQ(ChatTemplate::from_model(dir.path()).source(), "config");
}

TEST(ChatTemplateOfModel, IsTheDefaultOfAList) {
  const TempDir dir;
  dir.write("tokenizer_config.json",
            R"({"chat_template": [{"name": "tool_use", "template": "tools"},
                                  {"name": "default", "template": "plain"}]})");
  EXPECT_EQ(ChatTemplate::from_model(dir.path()).source(), "plain");
}

TEST(ChatTemplateOfModel, MissingSaysWhichKeySetsOne) {
  const TempDir dir;
  dir.write("tokenizer_config.json", R"({"chat_template": null})");
  expect_error(ExitCode::kConfig, "chat_template_jinja",
               [&] { ChatTemplate::from_model(dir.path()); });
}

}  // namespace
}  // namespace rung::text
