#include "text/chat_spans.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace rung::text {
namespace {

// Stands for the place before or behind a message's content. Private-use characters: no template
// treats them specially, no data should hold them in this order.
constexpr std::string_view kMark = "\uf8d0\uf8d1\uf8d0";

enum class MarkPlace { kBefore, kBehind };

constexpr std::string_view kWhiteSpace = " \t\r\n";

std::string_view trim_end(std::string_view text) {
  const size_t last = text.find_last_not_of(kWhiteSpace);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// The text of a message's content, or of its first or last text part; null where it has none.
std::string* content_text(Json& message, MarkPlace place) {
  if (!message.contains("content")) return nullptr;
  Json& content = message["content"];
  if (content.is_string()) return &content.get_ref<std::string&>();
  if (!content.is_array()) return nullptr;
  std::string* found = nullptr;
  for (Json& part : content) {
    const bool has_text = part.is_object() && part.contains("text") && part["text"].is_string();
    if (!has_text) continue;
    found = &part["text"].get_ref<std::string&>();
    if (place == MarkPlace::kBefore) break;
  }
  return found;
}

bool has_tool_calls(const Json& message) {
  return message.is_object() && message.contains("tool_calls") &&
         message["tool_calls"].is_array() && !message["tool_calls"].empty();
}

// The name of the last function a message calls; null where it calls none.
std::string* called_name(Json& message) {
  if (!has_tool_calls(message)) return nullptr;
  Json* call = &message["tool_calls"].back();
  if (call->is_object() && call->contains("function")) call = &(*call)["function"];
  if (!call->is_object() || !call->contains("name") || !(*call)["name"].is_string()) return nullptr;
  return &(*call)["name"].get_ref<std::string&>();
}

// Puts the mark next to the message's content; behind the name of the function it calls where it
// has no content. False where it has neither.
bool insert_mark(Json& message, MarkPlace place) {
  std::string* content = content_text(message, place);
  std::string* name = place == MarkPlace::kBehind ? called_name(message) : nullptr;
  if (name != nullptr && (content == nullptr || trim_end(*content).empty())) {
    *name += kMark;
    return true;
  }
  if (content == nullptr) return false;
  // Templates may trim the content; a mark would keep its outer white space.
  if (place == MarkPlace::kBehind) {
    content->resize(trim_end(*content).size());
    *content += kMark;
  } else {
    content->erase(0, content->find_first_not_of(kWhiteSpace));
    content->insert(0, kMark);
  }
  return true;
}

// Bytes that both texts begin with, down to the last one of `boundaries` among them where either
// goes on differently.
size_t common_size(std::string_view left, std::string_view right, std::string_view boundaries) {
  const auto [in_left, in_right] =
      std::mismatch(left.begin(), left.end(), right.begin(), right.end());
  const auto common = left.substr(0, static_cast<size_t>(in_left - left.begin()));
  if (common.size() == left.size()) return common.size();
  const size_t last = common.find_last_of(boundaries);
  return last == std::string_view::npos ? 0 : last + 1;
}

class TurnFinder {
 public:
  TurnFinder(const ChatTemplate& chat_template, const Json& messages, const ChatContext& context)
      : template_(chat_template),
        messages_(messages),
        context_(context),
        full_(chat_template.render(messages, false, context).text) {}

  const std::string& full() const { return full_; }

  // The span of message `index` in the whole text.
  Span find(size_t index) const {
    if (const auto span = find_by_prefix(index)) return *span;
    if (const auto span = find_by_marks(index)) return *span;
    fail(index);
  }

 private:
  // The text of the first `count` messages; absent where the template refuses them.
  std::optional<std::string> render_first(size_t count, bool generation_prompt) const {
    Json first = Json::array();
    for (size_t i = 0; i < count; ++i) first.push_back(messages_[i]);
    try {
      return template_.render(first, generation_prompt, context_).text;
    } catch (const Error&) {
      return std::nullopt;  // for instance a conversation that has no user turn yet
    }
  }

  std::optional<Span> find_by_prefix(size_t index) const {
    const auto before = render_first(index, true);
    const auto after = index + 1 == messages_.size() ? full_ : render_first(index + 1, false);
    if (!before || !after || !full_.starts_with(*after) || !after->starts_with(*before))
      return std::nullopt;
    const size_t end = std::max(before->size(), trim_end(*after).size());
    return Span{before->size(), end};
  }

  // Where a mark next to the content of message `index` comes out in the text of the first `count`
  // messages; absent where the mark changes anything else.
  std::optional<size_t> marked_position(size_t index, size_t count, MarkPlace place,
                                        std::string_view unmarked) const {
    Json marked = Json::array();
    for (size_t i = 0; i < count; ++i) marked.push_back(messages_[i]);
    if (!insert_mark(marked[index], place)) return std::nullopt;
    std::string text;
    try {
      text = template_.render(marked, false, context_).text;
    } catch (const Error&) {
      return std::nullopt;
    }
    const size_t at = text.find(kMark);
    if (at == std::string::npos) return std::nullopt;
    const std::string_view behind = std::string_view(text).substr(at + kMark.size());
    const bool same_before = unmarked.substr(0, at) == std::string_view(text).substr(0, at);
    // Trimmed white space may be missing behind the content.
    const bool same_behind = place == MarkPlace::kBefore ||
                             unmarked.substr(std::min(at, unmarked.size())) == behind ||
                             content_has_outer_space(index);
    return same_before && same_behind ? std::optional(at) : std::nullopt;
  }

  bool content_has_outer_space(size_t index) const {
    Json message = messages_[index];
    const std::string* content = content_text(message, MarkPlace::kBehind);
    return content != nullptr && trim_end(*content).size() != content->size();
  }

  std::optional<Span> find_by_marks(size_t index) const {
    const auto marked = marked_position(index, messages_.size(), MarkPlace::kBehind, full_);
    if (!marked) return std::nullopt;
    const size_t rest = rest_size(index, *marked);
    // Without the rest the calls would be cut off.
    if (rest == 0 && has_tool_calls(messages_[index])) return std::nullopt;
    const auto begin = turn_begin(index);
    if (!begin || *begin > *marked) return std::nullopt;
    return Span{*begin, *marked + rest};
  }

  // Behind the generation prompt, or as much of it as the text has there (it may open a thinking
  // that the text lacks); else where the content begins.
  std::optional<size_t> turn_begin(size_t index) const {
    const auto before = render_first(index, true);
    if (before && full_.starts_with(*before)) return before->size();
    const auto content = marked_position(index, messages_.size(), MarkPlace::kBefore, full_);
    const auto earlier = render_first(index, false);
    const bool prompted = index > 0 && before && earlier && full_.starts_with(*earlier) &&
                          messages_[index].value("role", Json()) == Json("assistant");
    if (!prompted) return content;
    const size_t header = common_size(*before, full_, ">]:\n ");
    const bool usable = header > earlier->size() && (!content || header <= *content);
    return usable ? std::optional(header) : content;
  }

  // Bytes of the turn behind its mark: tool calls and the end-of-turn marker. Known from the text
  // in which this turn is the last; 0 where the whole text goes on differently.
  size_t rest_size(size_t index, size_t marked) const {
    const auto after = index + 1 == messages_.size() ? full_ : render_first(index + 1, false);
    if (!after) return 0;
    const auto alone = marked_position(index, index + 1, MarkPlace::kBehind, *after);
    if (!alone) return 0;
    const std::string_view rest = trim_end(std::string_view(*after).substr(*alone));
    const std::string_view in_full = std::string_view(full_).substr(marked);
    const size_t common = common_size(rest, in_full, ">]");
    if (common < rest.size() && has_tool_calls(messages_[index])) return 0;
    return trim_end(in_full.substr(0, common)).size();
  }

  [[noreturn]] void fail(size_t index) const {
    const std::string before = render_first(index, true).value_or("");
    const std::string after = render_first(index + 1, false).value_or("");
    const std::string& other = full_.starts_with(before) ? after : before;
    const auto [in_full, in_other] =
        std::mismatch(full_.begin(), full_.end(), other.begin(), other.end());
    constexpr size_t kQuoted = 40;  // bytes
    const auto quote = [&](const std::string& text, std::string::const_iterator at) {
      const auto offset = static_cast<size_t>(at - text.begin());
      return fmt::format("\"{}\"", text.substr(offset, kQuoted));
    };
    throw Error(
        ExitCode::kConfig,
        {.what = fmt::format("the chat template does not tell where message {} begins and ends",
                             index + 1),
         .got = quote(full_, in_full) +
                " in the whole conversation where its beginning alone has " +
                quote(other, in_other),
         .expected = "a template that renders the beginning of a conversation alike whatever "
                     "follows",
         .hint = "set chat_template_jinja to a template with {% generation %} blocks, or "
                 "train_on_inputs: true",
         .where = template_.name()});
  }

  const ChatTemplate& template_;
  const Json& messages_;
  const ChatContext& context_;
  std::string full_;
};

bool only_assistant(const std::vector<std::string>& roles) {
  return std::all_of(roles.begin(), roles.end(),
                     [](const std::string& role) { return role == "assistant"; });
}

}  // namespace

LearntText find_learnt_text(const ChatTemplate& chat_template, const Json& messages,
                            const ChatContext& context,
                            const std::vector<std::string>& trained_roles) {
  LearntText learnt;
  if (chat_template.has_generation_blocks() && only_assistant(trained_roles)) {
    RenderedChat chat = chat_template.render(messages, false, context);
    learnt.text = std::move(chat.text);
    if (!trained_roles.empty()) learnt.spans = std::move(chat.generation);
  } else {
    const TurnFinder finder(chat_template, messages, context);
    learnt.text = finder.full();
    for (size_t i = 0; i < messages.size(); ++i) {
      const Json role = messages[i].is_object() ? messages[i].value("role", Json()) : Json();
      const bool trained =
          role.is_string() && std::find(trained_roles.begin(), trained_roles.end(),
                                        role.get<std::string>()) != trained_roles.end();
      if (trained) learnt.spans.push_back(finder.find(i));
    }
  }
  std::erase_if(learnt.spans, [](const Span& span) { return span.begin >= span.end; });
  return learnt;
}

}  // namespace rung::text
