#include "text/chat_labels.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "text/chat_spans.h"

namespace rung::text {
namespace {

// Tokens [first, last) whose first byte lies in a span.
struct TokenRange {
  size_t first = 0;
  size_t last = 0;
};

TokenRange tokens_of(const Encoding& encoding, const Span& span) {
  const auto at = [&](size_t offset) {
    return static_cast<size_t>(std::lower_bound(encoding.begins.begin(), encoding.begins.end(),
                                                static_cast<int32_t>(offset)) -
                               encoding.begins.begin());
  };
  return {at(span.begin), at(span.end)};
}

bool is_special(const Tokenizer& tokenizer, int32_t id) {
  const std::vector<int32_t> one = {id};
  return tokenizer.decode(one, SpecialOutput::kSkip).empty() &&
         !tokenizer.decode(one, SpecialOutput::kKeep).empty();
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

class EndOfTurn {
 public:
  EndOfTurn(const Tokenizer& tokenizer, const Encoding& encoding, std::string_view text)
      : tokenizer_(tokenizer), encoding_(encoding), text_(text) {}

  // The index of the token that ends the turn of `range`; absent where it has none.
  std::optional<size_t> find(const TokenRange& range) const {
    size_t last = range.last;
    while (last > range.first && is_blank(source(last - 1))) --last;
    if (last > range.first && is_special(tokenizer_, encoding_.ids[last - 1])) return last - 1;
    const bool eos_follows = range.last < encoding_.ids.size() && tokenizer_.eos_id() &&
                             encoding_.ids[range.last] == *tokenizer_.eos_id();
    return eos_follows ? std::optional(range.last) : std::nullopt;
  }

 private:
  std::string_view source(size_t token) const {
    const auto begin = static_cast<size_t>(encoding_.begins[token]);
    const auto end = static_cast<size_t>(encoding_.ends[token]);
    return text_.substr(begin, end - begin);
  }

  const Tokenizer& tokenizer_;
  const Encoding& encoding_;
  std::string_view text_;
};

struct LearntTurns {
  std::vector<TokenRange> ranges;
  std::vector<std::optional<size_t>> ends;  // each turn's end-of-turn token
};

// Sets the labels of end-of-turn tokens as `train_on_eos` says.
void label_ends(const LearntTurns& turns, TrainOnEos train_on_eos, std::optional<int32_t> eos,
                LabelledTokens& tokens) {
  std::set<int32_t> end_ids;
  if (eos) end_ids.insert(*eos);
  for (size_t i = 0; i < turns.ends.size(); ++i) {
    if (!turns.ends[i]) continue;
    const size_t end = *turns.ends[i];
    end_ids.insert(tokens.ids[end]);
    const bool learnt = train_on_eos == TrainOnEos::kTurn || train_on_eos == TrainOnEos::kAll ||
                        (train_on_eos == TrainOnEos::kLast && i + 1 == turns.ends.size());
    tokens.labels[end] = learnt ? tokens.ids[end] : kIgnoreLabel;
  }
  if (train_on_eos != TrainOnEos::kAll) return;
  for (size_t i = 0; i < tokens.ids.size(); ++i) {
    if (end_ids.contains(tokens.ids[i])) tokens.labels[i] = tokens.ids[i];
  }
}

}  // namespace

LabelledTokens label_chat(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                          const Json& messages, const ChatContext& context,
                          const ChatLabelOptions& options) {
  LabelledTokens tokens;
  if (options.train_on_inputs) {
    const std::string text = chat_template.render(messages, false, context).text;
    tokens.ids = tokenizer.encode(text, SpecialTokens::kOmit).ids;
    tokens.labels = tokens.ids;
    return tokens;
  }
  const LearntText learnt =
      find_learnt_text(chat_template, messages, context, options.roles_to_train);
  Encoding encoding = tokenizer.encode(learnt.text, SpecialTokens::kOmit);
  const EndOfTurn end_of_turn(tokenizer, encoding, learnt.text);
  LearntTurns turns;
  for (const Span& span : learnt.spans) {
    turns.ranges.push_back(tokens_of(encoding, span));
    turns.ends.push_back(end_of_turn.find(turns.ranges.back()));
  }
  tokens.labels.assign(encoding.ids.size(), kIgnoreLabel);
  for (const TokenRange& range : turns.ranges) {
    for (size_t i = range.first; i < range.last; ++i) tokens.labels[i] = encoding.ids[i];
  }
  tokens.ids = std::move(encoding.ids);
  label_ends(turns, options.train_on_eos, tokenizer.eos_id(), tokens);
  return tokens;
}

}  // namespace rung::text
