// Post-processors: what is added around the tokens of a text.
//
// TemplateProcessing (its template for single texts), RobertaProcessing, BertProcessing, ByteLevel
// (trims white space off the offsets), Sequence.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/tokenizer/json_field.h"

namespace rung::text {

class PostProcessor {
 public:
  // Does nothing for a null field.
  explicit PostProcessor(const JsonField& field);

  // token_text(i): token i as its vocabulary entry, or the text that an added token stands for.
  struct Input {
    std::string_view text;  // that was encoded
    SpecialTokens special = SpecialTokens::kAdd;
    std::function<std::string_view(size_t)> token_text;
  };
  void apply(const Input& input, Encoding& encoding) const;

 private:
  struct Step {
    enum class Kind { kTrim, kSurround } kind = Kind::kTrim;
    bool keep_prefix_space = false;  // kTrim: the space that ByteLevel put before the text
    std::vector<int32_t> before;     // kSurround
    std::vector<int32_t> after;
  };

  void read(const JsonField& field);
  void read_template(const JsonField& field);
  void read_classifier(const JsonField& field);

  std::vector<Step> steps_;
};

}  // namespace rung::text
