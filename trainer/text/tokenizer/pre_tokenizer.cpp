#include "text/tokenizer/pre_tokenizer.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/normalizer.h"
#include "text/tokenizer/split_pattern.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(const JsonField& field, ByteSymbols symbols)
      : add_prefix_space_(field["add_prefix_space"].boolean()), symbols_(symbols) {
    if (field["use_regex"].boolean_or(true)) {
      pattern_.emplace(Pattern::regex(kGpt2Pattern, field.where()));
    }
  }

  void apply(WorkingText& text) const override {
    if (add_prefix_space_) {
      text.rewrite([&](const Piece& piece) { return text.text(piece).front() != ' '; },
                   [](AlignedText& piece) { prepend(" ", piece); });
    }
    if (pattern_) {
      text.split([&](std::string_view piece, std::vector<Piece>& parts) {
        append_parts(pattern_->find(piece), SplitBehavior::kIsolated, parts);
      });
    }
    if (symbols_ == ByteSymbols::kRaw) {
      text.bytes_are_symbols = true;
      return;
    }
    text.rewrite([](const Piece&) { return true; },
                 [&](AlignedText& piece) { alphabet_.spell_in_place(piece); });
  }

 private:
  bool add_prefix_space_;
  ByteSymbols symbols_;
  std::optional<Pattern> pattern_;
  ByteAlphabet alphabet_;
};

class Split : public PreTokenizer {
 public:
  explicit Split(const JsonField& field)
      : pattern_(field["pattern"]),
        behavior_(read_split_behavior(field["behavior"])),
        invert_(field["invert"].boolean()) {}

  void apply(WorkingText& text) const override {
    text.split([&](std::string_view piece, std::vector<Piece>& parts) {
      std::vector<Stretch> stretches = pattern_.find(piece);
      if (invert_) {
        for (Stretch& stretch : stretches) stretch.matched = !stretch.matched;
      }
      append_parts(stretches, behavior_, parts);
    });
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

using Predicate = bool (*)(char32_t);

// Cuts at characters of a class.
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(Predicate matches, SplitBehavior behavior)
      : matches_(matches), behavior_(behavior) {}

  void apply(WorkingText& text) const override {
    text.split([&](std::string_view piece, std::vector<Piece>& parts) {
      append_parts(find_characters(piece, matches_), behavior_, parts);
    });
  }

 private:
  Predicate matches_;
  SplitBehavior behavior_;
};

// Runs of word characters and runs of what is neither word nor white space: \w+|[^\w\s]+
class Whitespace : public PreTokenizer {
 public:
  void apply(WorkingText& text) const override {
    enum class Kind { kSpace, kWord, kOther };
    const auto kind_of = [](char32_t c) {
      return is_word(c) ? Kind::kWord : is_white_space(c) ? Kind::kSpace : Kind::kOther;
    };
    text.split([&](std::string_view piece, std::vector<Piece>& parts) {
      Kind previous = Kind::kSpace;
      for (size_t i = 0; i < piece.size();) {
        const CodePoint c = code_point_at(piece, i);
        const Kind kind = kind_of(c.value);
        const auto end = static_cast<int32_t>(i + c.length);
        if (kind != Kind::kSpace && kind == previous) {
          parts.back().end = end;
        } else if (kind != Kind::kSpace) {
          parts.push_back({static_cast<int32_t>(i), end, kNoToken});
        }
        previous = kind;
        i += c.length;
      }
    });
  }
};

class Metaspace : public PreTokenizer {
 public:
  explicit Metaspace(const JsonField& field)
      : replacement_(field["replacement"].character()),
        scheme_(read_scheme(field)),
        split_(field["split"].boolean_or(true)) {}

  void apply(WorkingText& text) const override {
    const std::string mark = to_utf8(replacement_);
    replace_spaces(mark, text);
    if (scheme_ != Scheme::kNever) {
      text.rewrite(
          [&](const Piece& piece) {
            const bool first = text.source(piece.begin, piece.end).begin == 0;
            return (scheme_ == Scheme::kAlways || first) && !text.text(piece).starts_with(mark);
          },
          [&](AlignedText& piece) { prepend(mark, piece); });
    }
    if (!split_) return;
    text.split([&](std::string_view piece, std::vector<Piece>& parts) {
      append_parts(find_characters(piece, [&](char32_t c) { return c == replacement_; }),
                   SplitBehavior::kMergedWithNext, parts);
    });
  }

 private:
  enum class Scheme { kAlways, kFirst, kNever };

  static Scheme read_scheme(const JsonField& field) {
    const JsonField scheme = field["prepend_scheme"];
    const std::string name = scheme.string_or("always");
    if (name != "always" && name != "first" && name != "never") {
      scheme.fail("always, first or never");
    }
    // Files older than prepend_scheme have this boolean instead.
    const JsonField legacy = field["add_prefix_space"];
    if (!legacy.boolean_or(true)) {
      if (!scheme.is_null() && name != "never") legacy.fail("true, as prepend_scheme has it");
      return Scheme::kNever;
    }
    return name == "always" ? Scheme::kAlways : name == "first" ? Scheme::kFirst : Scheme::kNever;
  }

  static void replace_spaces(const std::string& mark, WorkingText& text) {
    text.rewrite(
        [&](const Piece& piece) { return text.text(piece).find(' ') != std::string_view::npos; },
        [&](AlignedText& piece) {
          AlignedText marked;
          for (size_t i = 0; i < piece.text.size(); ++i) {
            const std::string_view byte = std::string_view(piece.text).substr(i, 1);
            marked.append(byte == " " ? std::string_view(mark) : byte, piece.sources[i]);
          }
          piece = std::move(marked);
        });
  }

  char32_t replacement_;
  Scheme scheme_;
  bool split_;
};

class Sequence : public PreTokenizer {
 public:
  Sequence(const JsonField& field, ByteSymbols symbols) {
    const std::vector<JsonField> elements = field["pretokenizers"].elements();
    for (size_t i = 0; i < elements.size(); ++i) {
      const bool last = i + 1 == elements.size();
      auto stage = read_pre_tokenizer(elements[i], last ? symbols : ByteSymbols::kSpelled);
      if (!stage) elements[i].fail("a pre-tokenizer");
      stages_.push_back(std::move(stage));
    }
  }

  void apply(WorkingText& text) const override {
    for (const auto& stage : stages_) stage->apply(text);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> stages_;
};

}  // namespace

std::unique_ptr<PreTokenizer> read_pre_tokenizer(const JsonField& field, ByteSymbols symbols) {
  if (field.is_null()) return nullptr;
  const std::string& type = field.type();
  if (type == "ByteLevel") return std::make_unique<ByteLevel>(field, symbols);
  if (type == "Split") return std::make_unique<Split>(field);
  if (type == "Metaspace") return std::make_unique<Metaspace>(field);
  if (type == "Sequence") return std::make_unique<Sequence>(field, symbols);
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "Digits") {
    const bool individual = field["individual_digits"].boolean();
    return std::make_unique<CharacterSplit>(
        is_numeric, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  }
  if (type == "WhitespaceSplit") {
    return std::make_unique<CharacterSplit>(is_white_space, SplitBehavior::kRemoved);
  }
  if (type == "Punctuation") {
    const JsonField behavior = field["behavior"];
    return std::make_unique<CharacterSplit>(is_punctuation, behavior.is_null()
                                                                ? SplitBehavior::kIsolated
                                                                : read_split_behavior(behavior));
  }
  field.refuse("the pre-tokenizer " + type);
}

}  // namespace rung::text
