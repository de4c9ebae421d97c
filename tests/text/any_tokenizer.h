// What holds for a tokenizer of either kind of file.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "text/stream_decoder.h"
#include "text/tokenizer.h"

namespace rung::text {

// Loads the tokenizer of `folder`; where that works, everything else must work too or throw Error.
inline void try_tokenizer(const std::filesystem::path& folder,
                          const std::vector<std::string>& texts) {
  try {
    const Tokenizer tokenizer = Tokenizer::load(folder);
    for (const std::string& text : texts) {
      const Encoding encoding = tokenizer.encode(text, SpecialTokens::kAdd);
      for (size_t i = 0; i < encoding.ids.size(); ++i) {
        ASSERT_LE(0, encoding.begins[i]);
        ASSERT_LE(encoding.begins[i], encoding.ends[i]);
        ASSERT_LE(encoding.ends[i], static_cast<int32_t>(text.size()));
        ASSERT_LT(encoding.ids[i], tokenizer.vocab_size());
      }
      tokenizer.decode(encoding.ids, SpecialOutput::kSkip);
      StreamDecoder stream(tokenizer, SpecialOutput::kKeep);
      for (const int32_t id : encoding.ids) stream.push(id);
      stream.finish();
    }
  } catch (const Error& error) {
    EXPECT_NE(error.code(), ExitCode::kInternal) << error.what();
  }
}

// Several threads at once get the ids that one gets alone.
inline void expect_threads_may_encode(const std::filesystem::path& folder) {
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const std::string text = "The quick brown fox, 12345 and \u4f60\u597d! ";
  const std::vector<int32_t> expected = tokenizer.encode(text, SpecialTokens::kAdd).ids;
  std::vector<int> equal(4, 0);
  std::vector<std::thread> threads;
  for (int& count : equal) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        count += tokenizer.encode(text, SpecialTokens::kAdd).ids == expected ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 50));
}

// Both ways of encoding against what transformers or tokenizers make of the same texts. Case: text,
// ids and bare_ids (without special tokens).
template <typename Case>
void expect_same_ids(const Tokenizer& tokenizer, const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    EXPECT_EQ(tokenizer.encode(one.text, SpecialTokens::kAdd).ids, one.ids) << one.text;
  }
}
template <typename Case>
void expect_same_bare_ids(const Tokenizer& tokenizer, const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    EXPECT_EQ(tokenizer.encode(one.text, SpecialTokens::kOmit).ids, one.bare_ids) << one.text;
  }
}

}  // namespace rung::text
