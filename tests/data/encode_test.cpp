// Each type of record: which tokens it becomes, which of them are learnt, what is refused.
#include "data/encode.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/data/byte_tokenizer.h"
#include "tests/support/expect_error.h"

namespace rung::data {
namespace {

using rung::testing::Affixes;
using rung::testing::byte_tokenizer;
using rung::testing::expect_error;
using rung::testing::kBos;
using rung::testing::kByteVocab;
using rung::testing::kEos;

constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

struct Encoder {
  RunConfig run;
  DatasetConfig config;
  text::Tokenizer tokenizer;
  int64_t vocab_size = kByteVocab;

  explicit Encoder(DatasetType type, Affixes affixes = Affixes::kNone)
      : tokenizer(byte_tokenizer(affixes)) {
    config.type = type;
  }

  Example operator()(const std::string& json, const text::ChatTemplate* chat = nullptr) const {
    const Record record{.value = Json::parse(json), .source = "data.jsonl:7"};
    return encode_record(
        record, config,
        {.run = run, .tokenizer = tokenizer, .chat_template = chat, .vocab_size = vocab_size});
  }

  void refuses(const std::string& json, const std::string& words) const {
    expect_error(ExitCode::kConfig, words, [&] { (*this)(json); });
    expect_error(ExitCode::kConfig, "(data.jsonl:7)", [&] { (*this)(json); });
  }
};

std::vector<int32_t> bytes(std::string_view text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

std::vector<int32_t> ignored(size_t count) { return std::vector<int32_t>(count, kIgnore); }

std::vector<int32_t> join(std::vector<std::vector<int32_t>> parts) {
  std::vector<int32_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// The learnt tokens of `example` as text.
std::string learnt_text(const Example& example, const text::Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (const int32_t label : example.labels) {
    if (label != kIgnore) ids.push_back(label);
  }
  return tokenizer.decode(ids, text::SpecialOutput::kKeep);
}

TEST(EncodeCompletion, LearnsTheTextAndTheEnd) {
  const Example example = Encoder(DatasetType::kCompletion)(R"({"text":"abc"})");
  EXPECT_EQ(example.input_ids, join({bytes("abc"), {kEos}}));
  EXPECT_EQ(example.labels, example.input_ids);
  EXPECT_EQ(example.source, "data.jsonl:7");
}

TEST(EncodeCompletion, OpensWithBosWhereTheTokenizerAddsOne) {
  const Example example = Encoder(DatasetType::kCompletion, Affixes::kBegin)(R"({"text":"abc"})");
  EXPECT_EQ(example.input_ids, join({{kBos}, bytes("abc"), {kEos}}));
}

TEST(EncodeCompletion, EndsOnceWhereTheTokenizerAddsTheEnd) {
  const Example example =
      Encoder(DatasetType::kCompletion, Affixes::kBeginAndEnd)(R"({"text":"abc"})");
  EXPECT_EQ(example.input_ids, join({{kBos}, bytes("abc"), {kEos}}));
}

TEST(EncodeCompletion, EndsOnceWhereTheTextHasTheEnd) {
  const Example example = Encoder(DatasetType::kCompletion)(R"({"text":"abc</s>"})");
  EXPECT_EQ(example.input_ids, join({bytes("abc"), {kEos}}));
}

TEST(EncodeCompletion, ReadsTheConfiguredField) {
  Encoder encode(DatasetType::kCompletion);
  encode.config.field = "body";
  EXPECT_EQ(encode(R"({"text":"x","body":"y"})").input_ids, join({bytes("y"), {kEos}}));
}

TEST(EncodeCompletion, RefusesAnotherRecord) {
  const Encoder encode(DatasetType::kCompletion);
  encode.refuses(R"({"body":"y"})", "the record has no field \"text\": got \"body\"");
  encode.refuses(R"({"text":7})", "\"text\" is of the wrong type: got number, expected a string");
}

constexpr std::string_view kAlpacaWithInput =
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n### Instruction:\n"
    "Add\n\n### Input:\n1 2\n\n### Response:\n";
constexpr std::string_view kAlpacaWithoutInput =
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.\n\n### Instruction:\nAdd\n\n### Response:\n";

TEST(EncodeAlpaca, LearnsTheOutputAndTheEnd) {
  const Example example =
      Encoder(DatasetType::kAlpaca)(R"({"instruction":"Add","input":"1 2","output":"3"})");
  EXPECT_EQ(example.input_ids, join({bytes(kAlpacaWithInput), bytes("3"), {kEos}}));
  EXPECT_EQ(example.labels, join({ignored(kAlpacaWithInput.size()), bytes("3"), {kEos}}));
}

TEST(EncodeAlpaca, HasAPromptWithoutInput) {
  const Encoder encode(DatasetType::kAlpaca);
  for (const char* record :
       {R"({"instruction":"Add","output":"3"})", R"({"instruction":"Add","input":"","output":"3"})",
        R"({"instruction":"Add","input":null,"output":"3"})"}) {
    EXPECT_EQ(encode(record).input_ids, join({bytes(kAlpacaWithoutInput), bytes("3"), {kEos}}));
  }
}

TEST(EncodeAlpaca, PutsASystemTextInPlaceOfTheOpening) {
  const Example example =
      Encoder(DatasetType::kAlpaca)(R"({"system":"S","instruction":"Add","output":"3"})");
  EXPECT_EQ(example.input_ids,
            join({bytes("S\n\n### Instruction:\nAdd\n\n### Response:\n3"), {kEos}}));
}

TEST(EncodeAlpaca, OpensWithBosOnly) {
  const Example example =
      Encoder(DatasetType::kAlpaca, Affixes::kBeginAndEnd)(R"({"instruction":"Add","output":"3"})");
  EXPECT_EQ(example.input_ids, join({{kBos}, bytes(kAlpacaWithoutInput), bytes("3"), {kEos}}));
}

TEST(EncodeAlpaca, LearnsThePromptWithTrainOnInputs) {
  Encoder encode(DatasetType::kAlpaca);
  encode.run.train_on_inputs = true;
  const Example example = encode(R"({"instruction":"Add","output":"3"})");
  EXPECT_EQ(example.labels, example.input_ids);
}

TEST(EncodeAlpaca, RefusesARecordWithoutOutput) {
  Encoder(DatasetType::kAlpaca)
      .refuses(R"({"instruction":"Add"})", "the record has no field \"output\"");
}

TEST(EncodeInputOutput, LearnsTheLabelledSegments) {
  const Example example = Encoder(DatasetType::kInputOutput, Affixes::kBeginAndEnd)(
      R"({"segments":[{"label":false,"text":"ab"},{"label":true,"text":"cd</s>"},
          {"label":false,"text":"e"}]})");
  EXPECT_EQ(example.input_ids, join({bytes("abcd"), {kEos}, bytes("e")}));
  EXPECT_EQ(example.labels, join({ignored(2), bytes("cd"), {kEos}, ignored(1)}));
}

TEST(EncodeInputOutput, RefusesUnsoundSegments) {
  const Encoder encode(DatasetType::kInputOutput);
  encode.refuses(R"({"segments":[{"label":true,"text":"a"},{"label":"yes","text":"b"}]})",
                 "segment 2 is not sound: got \"label\", \"text\", expected {\"label\": true or");
  encode.refuses(R"({"segments":["a"]})", "segment 1 is not sound: got string");
  encode.refuses(R"({"segments":{}})", "expected an array");
}

TEST(EncodeTokenized, LearnsEverythingWithoutLabels) {
  const Example example = Encoder(DatasetType::kTokenized)(R"({"input_ids":[5,6,7]})");
  EXPECT_EQ(example.input_ids, (std::vector<int32_t>{5, 6, 7}));
  EXPECT_EQ(example.labels, example.input_ids);
}

TEST(EncodeTokenized, TakesLabels) {
  const Example example = Encoder(DatasetType::kTokenized)(
      R"({"input_ids":[5,6,7],"labels":[-100,-100,7],"attention_mask":[1,1,1]})");
  EXPECT_EQ(example.labels, (std::vector<int32_t>{kIgnore, kIgnore, 7}));
}

TEST(EncodeTokenized, RefusesIdsOutsideTheVocabulary) {
  const Encoder encode(DatasetType::kTokenized);
  encode.refuses(R"({"input_ids":[5,260]})",
                 "token 1 of the record is outside the model's vocabulary: got id 260, expected "
                 "0..259");
  encode.refuses(R"({"input_ids":[5,-1]})", "input_ids[1] is not valid: got -1");
  encode.refuses(R"({"input_ids":[5,1.5]})", "input_ids[1] is not valid: got 1.5");
  encode.refuses(R"({"input_ids":[5,"6"]})", "input_ids[1] is not valid: got \"6\"");
  encode.refuses(R"({"input_ids":[4294967301]})", "input_ids[0] is not valid: got 4294967301");
}

TEST(EncodeTokenized, RefusesLabelsThatDoNotFit) {
  const Encoder encode(DatasetType::kTokenized);
  encode.refuses(R"({"input_ids":[5,6],"labels":[5]})",
                 "labels and input_ids differ in length: got 1 label, expected 2");
  encode.refuses(R"({"input_ids":[5,6],"labels":[6,-100]})",
                 "labels[0] does not fit input_ids[0]: got 6, expected -100 or 5");
}

TEST(EncodeTokenized, RefusesPadding) {
  Encoder(DatasetType::kTokenized)
      .refuses(R"({"input_ids":[5,0],"attention_mask":[1,0]})",
               "the attention_mask hides tokens: expected one 1 for each of input_ids");
}

TEST(EncodeChat, LearnsTheAnswerAndTheEndOfItsTurn) {
  const Encoder encode(DatasetType::kChatTemplate);
  const text::ChatTemplate chat(kChatMl, "chatml");
  const Example example =
      encode(R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Yo"}]})",
             &chat);
  EXPECT_EQ(encode.tokenizer.decode(example.input_ids, text::SpecialOutput::kKeep),
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nYo<|im_end|>\n");
  EXPECT_EQ(learnt_text(example, encode.tokenizer).substr(0, 12), "Yo<|im_end|>");
  EXPECT_EQ(example.input_ids.size(), example.labels.size());
}

TEST(EncodeChat, LearnsEveryAnswer) {
  const Encoder encode(DatasetType::kChatTemplate);
  const text::ChatTemplate chat(kChatMl, "chatml");
  const Example example = encode(
      R"({"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"B"},
          {"from":"human","value":"c"},{"from":"gpt","value":"D"}]})",
      &chat);
  const std::string learnt = learnt_text(example, encode.tokenizer);
  EXPECT_NE(learnt.find("B<|im_end|>"), std::string::npos);
  EXPECT_NE(learnt.find("D<|im_end|>"), std::string::npos);
  EXPECT_EQ(learnt.find('a'), std::string::npos);
  EXPECT_EQ(learnt.find('c'), std::string::npos);
}

TEST(EncodeChat, NamesTheRecordWhereTheTemplateRaises) {
  const Encoder encode(DatasetType::kChatTemplate);
  const text::ChatTemplate chat("{{ raise_exception('no system role here') }}", "strict.jinja");
  const std::string record = R"({"messages":[{"role":"user","content":"Hi"}]})";
  expect_error(ExitCode::kConfig, "no system role here", [&] { encode(record, &chat); });
  expect_error(ExitCode::kConfig, "data.jsonl:7, strict.jinja:1", [&] { encode(record, &chat); });
}

TEST(EncodeChat, NeedsATemplate) {
  Encoder(DatasetType::kChatTemplate)
      .refuses(R"({"messages":[{"role":"user","content":"Hi"}]})",
               "needs a chat template; set chat_template_jinja");
}

}  // namespace
}  // namespace rung::data
