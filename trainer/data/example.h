// One training example as the model sees it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rung::data {

inline constexpr int32_t kIgnore =
    -100;  // label of a token on which nothing is learnt (Hugging Face's value)

// ids and labels have the same length; labels[i] is input_ids[i] or kIgnore. They are not shifted:
// the model predicts token i + 1 from token i, so labels[0] is never used.
struct Example {
  std::vector<int32_t> input_ids = {};
  std::vector<int32_t> labels = {};
  std::string source = {};  // "file:line", for messages

  int64_t num_tokens() const { return static_cast<int64_t>(input_ids.size()); }
  // Targets actually learnt: labels[1..] that are not kIgnore.
  int64_t num_supervised() const;
};

}  // namespace rung::data
