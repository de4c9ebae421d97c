// The messages of a chat_template record, in the shape that chat templates expect.
//
// Two spellings are read: {"messages": [{"role", "content"}]} and ShareGPT's
// {"conversations": [{"from", "value"}]}; human, gpt and their kin become user and assistant. Other
// properties of a message (tool_calls, name, reasoning_content, ...) pass through. A "system" text
// beside the messages becomes the first message, "tools" goes to the template. Text only: image and
// audio parts are refused.
#pragma once

#include <string>
#include <vector>

#include "base/run_config.h"
#include "data/record_fields.h"

namespace rung::data {

struct ChatRecord {
  Json messages;  // array of {"role", "content", ...}
  Json tools = nullptr;
  Json extra = Json::object();  // chat_template_kwargs
};

// `roles_to_train` are accepted as roles besides the usual ones. Throws Error kConfig with file,
// line and the number of the message, from 1.
ChatRecord read_chat(const Record& record, const DatasetConfig& config,
                     const std::vector<std::string>& roles_to_train);

}  // namespace rung::data
