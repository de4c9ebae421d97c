// Chat templates: messages in, the model's prompt text out, with the spans that the assistant
// wrote.
//
// Rendered by rung's own Jinja engine (text/jinja) with the environment of transformers'
// apply_chat_template: trim_blocks, lstrip_blocks, loop controls, tojson, raise_exception,
// strftime_now, {% generation %}.
//
// As transformers does, a message's reasoning is passed under the names `reasoning_content` and
// `thinking`, whichever of them (or `reasoning`) it has; `tools` and `documents` are none where
// absent; a special token the model does not have is undefined.
#pragma once

#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace rung::text {

using rung::Json;

// A byte range [begin, end) of the rendered text.
struct Span {
  size_t begin = 0;
  size_t end = 0;
};

struct RenderedChat {
  std::string text;
  std::vector<Span>
      generation;  // what {% generation %} blocks rendered; empty where the template has none
};

// What a template may see besides the messages.
struct ChatContext {
  std::string bos_token;        // "" where the model has none
  std::string eos_token;        // likewise
  Json tools = nullptr;         // null or an array
  Json extra = Json::object();  // extra variables by name (enable_thinking, ...)
  // What strftime_now tells: the local time where absent. Set it where a render must not depend on
  // the day.
  std::optional<std::tm> now = std::nullopt;
};

class ChatTemplate {
 public:
  // Parses `source`; `name` is used in messages. Throws Error kConfig with name:line on a syntax
  // error.
  ChatTemplate(std::string source, std::string name);

  // The model's template: chat_template.jinja, else chat_template of tokenizer_config.json (a
  // string, or the entry named "default" of a list). Throws Error kConfig where there is none,
  // saying which key sets one.
  static ChatTemplate from_model(const std::filesystem::path& model_dir);

  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;

  // messages: array of {"role", "content", ...}. Throws Error kConfig with template line where the
  // template raises.
  RenderedChat render(const Json& messages, bool add_generation_prompt,
                      const ChatContext& context) const;

  bool has_generation_blocks() const;
  const std::string& name() const;
  const std::string& source() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rung::text
