// Encoding of chat_template records; see data/encode.h.
#pragma once

#include "data/encode.h"

namespace rung::data {

Example encode_chat(const Record& record, const DatasetConfig& config,
                    const EncodeContext& context);

}  // namespace rung::data
