#include "text/tokenizer/normalizer.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer/byte_level.h"
#include "text/tokenizer/normal_form.h"
#include "text/tokenizer/split_pattern.h"
#include "text/unicode.h"

namespace rung::text {
namespace {

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(NormalForm form) : form_(form) {}
  bool changes(std::string_view text) const override { return !is_normal(text, form_); }
  void apply(AlignedText& text) const override { normalize(form_, text); }

 private:
  NormalForm form_;
};

class Lowercase : public Normalizer {
 public:
  bool changes(std::string_view) const override { return true; }
  void apply(AlignedText& text) const override {
    AlignedText lower;
    for (size_t i = 0; i < text.text.size();) {
      const CodePoint c = code_point_at(text.text, i);
      for (const char32_t lowered : to_lower(c.value)) {
        lower.append(to_utf8(lowered), text.sources[i]);
      }
      i += c.length;
    }
    text = std::move(lower);
  }
};

// Every match becomes `content`, as coming from the last character of the match.
class Replace : public Normalizer {
 public:
  explicit Replace(const JsonField& field)
      : pattern_(field["pattern"]), content_(field["content"].string()) {}

  bool changes(std::string_view text) const override {
    return pattern_.literal().empty() || text.find(pattern_.literal()) != std::string_view::npos;
  }

  void apply(AlignedText& text) const override {
    if (text.text.empty()) return;
    AlignedText replaced;
    for (const Stretch& stretch : pattern_.find(text.text)) {
      if (stretch.matched) {
        const Source source = text.sources[stretch.end - std::min<size_t>(stretch.end, 1)];
        replaced.append(content_, source);
        continue;
      }
      for (size_t i = stretch.begin; i < stretch.end; ++i) {
        replaced.append(std::string_view(text.text).substr(i, 1), text.sources[i]);
      }
    }
    text = std::move(replaced);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(const JsonField& field) : prefix_(field["prepend"].string()) {}
  bool changes(std::string_view) const override { return true; }
  void apply(AlignedText& text) const override {
    if (!text.text.empty()) prepend(prefix_, text);
  }

 private:
  std::string prefix_;
};

class Strip : public Normalizer {
 public:
  explicit Strip(const JsonField& field)
      : left_(field["strip_left"].boolean()), right_(field["strip_right"].boolean()) {}

  bool changes(std::string_view text) const override {
    return is_white_space(code_point_at(text, 0).value) ||
           is_white_space(code_point_before(text, text.size()).value);
  }

  void apply(AlignedText& text) const override {
    size_t begin = 0;
    size_t end = text.text.size();
    while (left_ && begin < end) {
      const CodePoint c = code_point_at(text.text, begin);
      if (!is_white_space(c.value)) break;
      begin += c.length;
    }
    while (right_ && end > begin) {
      const CodePoint c = code_point_before(text.text, end);
      if (!is_white_space(c.value)) break;
      end -= c.length;
    }
    text.text = text.text.substr(begin, end - begin);
    const auto first = text.sources.begin();
    text.sources = std::vector<Source>(first + static_cast<std::ptrdiff_t>(begin),
                                       first + static_cast<std::ptrdiff_t>(end));
  }

 private:
  bool left_;
  bool right_;
};

class SpellBytes : public Normalizer {
 public:
  bool changes(std::string_view) const override { return true; }
  void apply(AlignedText& text) const override { alphabet_.spell_in_place(text); }

 private:
  ByteAlphabet alphabet_;
};

class Sequence : public Normalizer {
 public:
  explicit Sequence(const JsonField& field) {
    for (const JsonField& element : field["normalizers"].elements()) {
      auto normalizer = read_normalizer(element);
      if (!normalizer) element.fail("a normalizer");
      normalizers_.push_back(std::move(normalizer));
    }
  }

  bool changes(std::string_view text) const override {
    return std::any_of(normalizers_.begin(), normalizers_.end(),
                       [&](const auto& normalizer) { return normalizer->changes(text); });
  }
  void apply(AlignedText& text) const override {
    for (const auto& normalizer : normalizers_) normalizer->apply(text);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> normalizers_;
};

}  // namespace

std::unique_ptr<Normalizer> read_normalizer(const JsonField& field) {
  if (field.is_null()) return nullptr;
  const std::string& type = field.type();
  if (type == "NFC") return std::make_unique<UnicodeForm>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<UnicodeForm>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<UnicodeForm>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<UnicodeForm>(NormalForm::kNfkd);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "Replace") return std::make_unique<Replace>(field);
  if (type == "Prepend") return std::make_unique<Prepend>(field);
  if (type == "Strip") return std::make_unique<Strip>(field);
  if (type == "ByteLevel") return std::make_unique<SpellBytes>();
  if (type == "Sequence") return std::make_unique<Sequence>(field);
  field.refuse("the normalizer " + type);
}

void prepend(std::string_view prefix, AlignedText& text) {
  AlignedText prefixed;
  prefixed.append(prefix, text.sources.front());
  prefixed.text += text.text;
  prefixed.sources.insert(prefixed.sources.end(), text.sources.begin(), text.sources.end());
  text = std::move(prefixed);
}

}  // namespace rung::text
