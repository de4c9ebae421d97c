// Conversations as data sets spell them, and the messages that templates get.
#include "data/chat_record.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace rung::data {
namespace {

using rung::testing::expect_error;

ChatRecord read(const std::string& text, const DatasetConfig& config = {},
                const std::vector<std::string>& roles = {"assistant"}) {
  return read_chat({.value = Json::parse(text), .source = "data.jsonl:7"}, config, roles);
}

void expect_refused(const std::string& text, const std::string& words) {
  expect_error(ExitCode::kConfig, words, [&] { read(text); });
  expect_error(ExitCode::kConfig, "(data.jsonl:7)", [&] { read(text); });
}

TEST(ReadChat, ReadsMessages) {
  const ChatRecord chat = read(
      R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]})");
  EXPECT_EQ(chat.messages, Json::parse(R"([{"role":"user","content":"Hi"},
                                           {"role":"assistant","content":"Hello"}])"));
  EXPECT_TRUE(chat.tools.is_null());
}

TEST(ReadChat, ReadsShareGpt) {
  const ChatRecord chat = read(
      R"({"conversations":[{"from":"system","value":"S"},{"from":"human","value":"H"},
          {"from":"gpt","value":"G"},{"from":"tool","value":"T"}]})");
  EXPECT_EQ(chat.messages,
            Json::parse(R"([{"role":"system","content":"S"},{"role":"user","content":"H"},
                            {"role":"assistant","content":"G"},{"role":"tool","content":"T"}])"));
}

TEST(ReadChat, ReadsConfiguredFields) {
  DatasetConfig config;
  config.field_messages = "dialog";
  config.message_property_role = "speaker";
  config.message_property_content = "line";
  const ChatRecord chat = read(R"({"dialog":[{"speaker":"human","line":"H"}]})", config);
  EXPECT_EQ(chat.messages, Json::parse(R"([{"role":"user","content":"H"}])"));
}

TEST(ReadChat, PassesOtherPropertiesThrough) {
  const ChatRecord chat = read(
      R"({"messages":[{"role":"assistant","content":null,"tool_calls":[{"name":"f"}]},
          {"role":"tool","name":"f","content":"1"}]})");
  EXPECT_EQ(chat.messages[0]["tool_calls"][0]["name"], "f");
  EXPECT_TRUE(chat.messages[0]["content"].is_null());
  EXPECT_EQ(chat.messages[1]["name"], "f");
}

TEST(ReadChat, PutsASystemFieldFirst) {
  const ChatRecord chat = read(R"({"system":"S","messages":[{"role":"user","content":"U"}]})");
  EXPECT_EQ(chat.messages[0]["role"], "system");
  EXPECT_EQ(chat.messages[0]["content"], "S");
  EXPECT_EQ(chat.messages.size(), 2u);
}

TEST(ReadChat, HandsToolsAndTemplateVariablesOn) {
  const ChatRecord chat = read(
      R"({"messages":[{"role":"user","content":"U"}],"tools":[{"type":"function"}],
          "chat_template_kwargs":{"enable_thinking":false}})");
  EXPECT_EQ(chat.tools[0]["type"], "function");
  EXPECT_EQ(chat.extra["enable_thinking"], false);
}

TEST(ReadChat, JoinsTextParts) {
  const ChatRecord chat = read(
      R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"},
          {"type":"text","text":"b"}]}]})");
  EXPECT_EQ(chat.messages[0]["content"], "ab");
}

TEST(ReadChat, RefusesImages) {
  expect_refused(
      R"({"messages":[{"role":"user","content":[{"type":"image","url":"x"}]}]})",
      "message 1: a part of the content is not text: got \"image\", expected parts of type");
}

TEST(ReadChat, AcceptsRolesToTrain) {
  const ChatRecord chat = read(R"({"messages":[{"role":"critic","content":"C"}]})", {}, {"critic"});
  EXPECT_EQ(chat.messages[0]["role"], "critic");
}

TEST(ReadChat, RefusesUnknownRoles) {
  expect_refused(
      R"({"messages":[{"role":"user","content":"a"},{"role":"asistant","content":"b"}]})",
      "message 2: unknown role: got \"asistant\", expected system,");
}

TEST(ReadChat, RefusesARecordWithoutMessages) {
  expect_refused(R"({"text":"a","id":1})",
                 "the record has no field \"messages\": got \"text\", \"id\"");
}

TEST(ReadChat, RefusesEmptyConversations) {
  expect_refused(R"({"messages":[]})", "the conversation has no messages");
}

TEST(ReadChat, RefusesMessagesOfTheWrongType) {
  expect_refused(R"({"messages":"a"})",
                 "the field \"messages\" is of the wrong type: got string, expected an array");
  expect_refused(R"({"messages":["a"]})", "message 1: not an object: got string");
  expect_refused(R"({"messages":[{"role":"user"}]})",
                 "message 1: no property \"content\": got \"role\"");
  expect_refused(R"({"messages":[{"content":"a"}]})",
                 "message 1: no property \"role\": got \"content\"");
  expect_refused(R"({"messages":[{"role":"user","content":7}]})",
                 "message 1: \"content\" is of the wrong type: got number, expected a string");
  expect_refused(R"({"messages":[{"role":"user","content":null}]})",
                 "message 1: \"content\" is of the wrong type: got null");
  expect_refused(R"({"messages":[{"role":3,"content":"a"}]})",
                 "message 1: \"role\" is of the wrong type: got number");
}

}  // namespace
}  // namespace rung::data
