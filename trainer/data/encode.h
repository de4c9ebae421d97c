// One record of a data set -> token ids and labels, by the data set's type:
//
//   chat_template  the model's template; learnt: what roles_to_train say (text/chat_labels.h)
//   alpaca         BOS + the Alpaca prompt, learnt: the output + EOS
//   completion     BOS + text + EOS, all learnt
//   input_output   segments, each encoded by itself, no special tokens added; learnt: as its label
//   tokenized      input_ids as they are; labels -100 or the id, all learnt where absent
//
// train_on_inputs: true has everything learnt (tokenized keeps its labels). Length limits are the
// caller's (data/dataset.h).
#pragma once

#include <cstdint>

#include "base/run_config.h"
#include "data/example.h"
#include "data/record_fields.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace rung::data {

// What encoding needs besides the record; all of it outlives the Encoder.
struct EncodeContext {
  const RunConfig& run;
  const text::Tokenizer& tokenizer;
  const text::ChatTemplate* chat_template = nullptr;  // required by chat_template data only
  int64_t vocab_size = 0;                             // rows of the model's embedding
};

// Throws Error kConfig with file:line where the record is not what `config.type` says or has an id
// outside the vocabulary. Safe to call from several threads.
Example encode_record(const Record& record, const DatasetConfig& config,
                      const EncodeContext& context);

}  // namespace rung::data
