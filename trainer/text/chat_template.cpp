#include "text/chat_template.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "text/jinja/failure.h"
#include "text/jinja/template.h"

namespace rung::text {
namespace {

constexpr size_t kMaxTemplateBytes = size_t{1} << 20;
constexpr size_t kMaxConfigBytes = size_t{64} << 20;  // tokenizer_config.json lists added tokens

// Where reasoning is looked for, in this order.
constexpr std::array<const char*, 3> kReasoningFields = {"reasoning_content", "thinking",
                                                         "reasoning"};

// The message with its reasoning under both names that templates read.
Json with_reasoning(const Json& message) {
  if (!message.is_object()) return message;
  for (const char* field : kReasoningFields) {
    const auto found = message.find(field);
    if (found == message.end() || found->is_null()) continue;
    Json aliased = Json::object();
    aliased["thinking"] = *found;
    for (const auto& [key, value] : message.items()) aliased[key] = value;
    aliased["reasoning_content"] = *found;
    return aliased;
  }
  return message;
}

jinja::Variables variables_of(const Json& messages, bool add_generation_prompt,
                              const ChatContext& context) {
  Json aliased = Json::array();
  for (const Json& message : messages) aliased.push_back(with_reasoning(message));
  jinja::Variables variables;
  variables.emplace_back("messages", jinja::Value::from_json(aliased));
  variables.emplace_back("tools", jinja::Value::from_json(context.tools));
  variables.emplace_back("documents", jinja::Value());
  variables.emplace_back("add_generation_prompt", jinja::Value::boolean(add_generation_prompt));
  if (!context.bos_token.empty())
    variables.emplace_back("bos_token", jinja::Value::text(context.bos_token));
  if (!context.eos_token.empty())
    variables.emplace_back("eos_token", jinja::Value::text(context.eos_token));
  // Later ones win: extra variables may replace any of the above.
  for (const auto& [name, value] : context.extra.items())
    variables.emplace_back(name, jinja::Value::from_json(value));
  return variables;
}

// The text of `chat_template` in tokenizer_config.json; empty where there is none.
std::string configured_template(const Json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return "";
  for (const Json& entry : *found) {
    if (entry.is_object() && entry.value("name", Json()) == Json("default") &&
        entry.contains("template") && entry["template"].is_string()) {
      return entry["template"].get<std::string>();
    }
  }
  return "";
}

}  // namespace

struct ChatTemplate::Impl {
  std::string name;
  jinja::Template compiled;
};

ChatTemplate::ChatTemplate(std::string source, std::string name)
    : impl_(std::make_unique<Impl>(Impl{name, jinja::Template(std::move(source), name)})) {}

ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

ChatTemplate ChatTemplate::from_model(const std::filesystem::path& model_dir) {
  const std::filesystem::path file = model_dir / "chat_template.jinja";
  if (std::filesystem::exists(file))
    return ChatTemplate(read_text_file(file, kMaxTemplateBytes), file.string());
  const std::filesystem::path config = model_dir / "tokenizer_config.json";
  if (std::filesystem::exists(config)) {
    std::string source =
        configured_template(read_json_file(config, {.max_bytes = kMaxConfigBytes}));
    if (!source.empty()) return ChatTemplate(std::move(source), config.string() + " chat_template");
  }
  throw Error(ExitCode::kConfig,
              {.what = "the model has no chat template",
               .expected = "chat_template.jinja, or chat_template in tokenizer_config.json",
               .hint = "set chat_template_jinja to a template or to a file that holds one",
               .where = model_dir.string()});
}

RenderedChat ChatTemplate::render(const Json& messages, bool add_generation_prompt,
                                  const ChatContext& context) const {
  if (!messages.is_array()) {
    throw Error(ExitCode::kConfig,
                {.what = "chat messages must be a list", .got = messages.type_name()});
  }
  jinja::RenderResult result;
  try {
    result = impl_->compiled.render(variables_of(messages, add_generation_prompt, context),
                                    {.now = context.now});
  } catch (const jinja::Failure& failure) {  // from a value that nests too deeply
    throw Error(ExitCode::kConfig, {.what = fmt::format("the conversation: {}", failure.what())});
  }
  RenderedChat chat;
  for (const auto& [begin, end] : result.generations)
    chat.generation.push_back(
        {std::min(begin, result.text.size()), std::min(end, result.text.size())});
  chat.text = std::move(result.text);
  return chat;
}

bool ChatTemplate::has_generation_blocks() const { return impl_->compiled.has_generation(); }

const std::string& ChatTemplate::name() const { return impl_->name; }

const std::string& ChatTemplate::source() const { return impl_->compiled.source(); }

}  // namespace rung::text
