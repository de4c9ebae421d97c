#include "data/chat_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace rung::data {
namespace {

struct RoleName {
  std::string_view written;
  std::string_view role;
};

// What data sets call the roles, and what templates call them.
constexpr std::array<RoleName, 11> kRoleNames = {{
    {"system", "system"},
    {"developer", "developer"},
    {"user", "user"},
    {"human", "user"},
    {"assistant", "assistant"},
    {"gpt", "assistant"},
    {"chatgpt", "assistant"},
    {"tool", "tool"},
    {"observation", "tool"},
    {"function", "function"},
    {"ipython", "ipython"},
}};

// One message being read: the record with it, and the words for messages.
struct Place {
  const Record& record;
  size_t index = 0;  // from 0

  Error error(std::string what, std::string got, std::string expected) const {
    return Error(ExitCode::kConfig, {.what = fmt::format("message {}: {}", index + 1, what),
                                     .got = std::move(got),
                                     .expected = std::move(expected),
                                     .where = record.source});
  }
};

// The name of the property: the configured one, else its ShareGPT spelling.
std::string property_name(const Json& message, const std::string& configured,
                          const std::string& sharegpt) {
  return !message.contains(configured) && message.contains(sharegpt) ? sharegpt : configured;
}

std::string read_role(const Place& place, const Json& message, const std::string& name,
                      const std::vector<std::string>& roles_to_train) {
  const auto found = message.find(name);
  if (found == message.end()) {
    throw place.error(fmt::format("no property \"{}\"", name), list_keys(message), "");
  }
  if (!found->is_string()) {
    throw place.error(fmt::format("\"{}\" is of the wrong type", name), found->type_name(),
                      "a string");
  }
  const std::string written = found->get<std::string>();
  if (std::find(roles_to_train.begin(), roles_to_train.end(), written) != roles_to_train.end()) {
    return written;
  }
  for (const RoleName& entry : kRoleNames) {
    if (entry.written == written) return std::string(entry.role);
  }
  throw place.error("unknown role", fmt::format("\"{}\"", written),
                    "system, developer, user (human), assistant (gpt), tool, function, ipython, or "
                    "one of roles_to_train");
}

// Content given as a list of parts, [{"type": "text", "text": ...}], as one string.
std::string join_parts(const Place& place, const Json& parts) {
  std::string text;
  for (const Json& part : parts) {
    if (part.is_object() && part.value("type", "") == "text" && part.contains("text") &&
        part["text"].is_string()) {
      text += part["text"].get_ref<const std::string&>();
      continue;
    }
    const bool typed = part.is_object() && part.contains("type") && part["type"].is_string();
    throw place.error(
        "a part of the content is not text",
        typed ? fmt::format("\"{}\"", part["type"].get<std::string>()) : part.type_name(),
        "parts of type \"text\" only");
  }
  return text;
}

Json read_content(const Place& place, const Json& message, const std::string& name) {
  const auto found = message.find(name);
  // A message that only calls tools has no content.
  if (found == message.end() || found->is_null()) {
    if (message.contains("tool_calls")) return found == message.end() ? Json("") : Json(nullptr);
    if (found == message.end()) {
      throw place.error(fmt::format("no property \"{}\"", name), list_keys(message), "");
    }
  }
  if (found->is_string()) return *found;
  if (found->is_array()) return join_parts(place, *found);
  throw place.error(fmt::format("\"{}\" is of the wrong type", name), found->type_name(),
                    "a string");
}

Json read_message(const Place& place, const Json& message, const DatasetConfig& config,
                  const std::vector<std::string>& roles_to_train) {
  if (!message.is_object()) throw place.error("not an object", message.type_name(), "an object");
  const std::string role = property_name(message, config.message_property_role, "from");
  const std::string content = property_name(message, config.message_property_content, "value");
  Json result = {{"role", read_role(place, message, role, roles_to_train)},
                 {"content", read_content(place, message, content)}};
  for (const auto& [key, value] : message.items()) {
    if (key != role && key != content && !result.contains(key)) result[key] = value;
  }
  return result;
}

}  // namespace

ChatRecord read_chat(const Record& record, const DatasetConfig& config,
                     const std::vector<std::string>& roles_to_train) {
  const bool sharegpt =
      !record.value.contains(config.field_messages) && record.value.contains("conversations");
  const Json& messages = require_array(record, sharegpt ? "conversations" : config.field_messages);
  if (messages.empty()) {
    throw Error(ExitCode::kConfig,
                {.what = "the conversation has no messages", .where = record.source});
  }
  ChatRecord chat{.messages = Json::array()};
  for (size_t i = 0; i < messages.size(); ++i) {
    chat.messages.push_back(
        read_message({.record = record, .index = i}, messages[i], config, roles_to_train));
  }
  const std::string system = optional_text(record, "system");
  if (!system.empty() && chat.messages[0]["role"] != "system") {
    chat.messages.insert(chat.messages.begin(), Json{{"role", "system"}, {"content", system}});
  }
  const auto tools = record.value.find("tools");
  if (tools != record.value.end() && !tools->is_null()) chat.tools = require_array(record, "tools");
  const auto extra = record.value.find("chat_template_kwargs");
  if (extra != record.value.end() && extra->is_object()) chat.extra = *extra;
  return chat;
}

}  // namespace rung::data
