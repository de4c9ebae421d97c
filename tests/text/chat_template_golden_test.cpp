// Real chat templates against transformers: tests/golden/jinja/chat_templates.json, written by
// scripts/make_jinja_golden.py. The templates themselves are not part of this repository: the test
// is skipped where they are absent.

#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/sha256.h"
#include "text/chat_template.h"

namespace rung::text {
namespace {

ChatContext context_of(const Json& conversation) {
  ChatContext context{.bos_token = "<s>", .eos_token = "</s>"};
  if (conversation.contains("tools")) context.tools = conversation["tools"];
  if (conversation.contains("extra")) context.extra = conversation["extra"];
  std::tm now{};  // 2026-01-31 08:05:09, as the script has it
  now.tm_year = 126;
  now.tm_mday = 31;
  now.tm_hour = 8;
  now.tm_min = 5;
  now.tm_sec = 9;
  context.now = now;
  return context;
}

Json spans_of(const RenderedChat& chat) {
  Json spans = Json::array();
  for (const Span& span : chat.generation) spans.push_back({span.begin, span.end});
  return spans;
}

// How the result differs from the expected one; "" where it does not.
std::string difference(const ChatTemplate& chat_template, const Json& conversation,
                       const Json& expected) {
  RenderedChat chat;
  try {
    chat = chat_template.render(conversation["messages"],
                                conversation.value("add_generation_prompt", false),
                                context_of(conversation));
  } catch (const Error& error) {
    return expected.contains("raises") ? "" : error.what();
  }
  if (expected.contains("raises"))
    return "renders instead of " + expected["raises"].get<std::string>() + ": " + chat.text;
  if (sha256_of_text(chat.text) != expected["sha256"].get<std::string>())
    return "gives \"" + chat.text.substr(0, 400) + "\" instead of \"" +
           expected["begins"].get<std::string>() + "...\"";
  if (spans_of(chat) != expected["spans"])
    return "spans " + spans_of(chat).dump() + " instead of " + expected["spans"].dump();
  return "";
}

TEST(ChatTemplate, RendersRealTemplatesLikeTransformers) {
  const std::filesystem::path folder =
      std::filesystem::path(RUNG_SOURCE_DIR) / ".." / "shared" / "chat_templates";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no chat templates here";
  const Json golden = read_json_file(RUNG_TEST_DATA "/golden/jinja/chat_templates.json");
  size_t agreeing = 0;
  size_t found = 0;
  for (const Json& entry : golden["templates"]) {
    const std::filesystem::path file = folder / entry["name"].get<std::string>();
    if (!std::filesystem::exists(file)) continue;
    const std::string source = read_text_file(file, size_t{1} << 20);
    if (sha256_of_text(source) != entry["sha256"].get<std::string>()) continue;
    ++found;
    bool agrees = true;
    try {
      const ChatTemplate chat_template(source, file.filename().string());
      for (const auto& [name, conversation] : golden["conversations"].items()) {
        const std::string different =
            difference(chat_template, conversation, entry["results"][name]);
        EXPECT_EQ(different, "") << file.filename() << ", conversation " << name;
        agrees = agrees && different.empty();
      }
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
      agrees = false;
    }
    agreeing += agrees ? 1 : 0;
  }
  std::cout << agreeing << " of " << found << " templates agree in all conversations\n";
}

}  // namespace
}  // namespace rung::text
