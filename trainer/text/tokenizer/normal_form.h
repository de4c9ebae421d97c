// Unicode normalization forms (UAX #15) that keep track of where each character came from.
//
// Decompositions and compositions are utf8proc's; the walk over them is here because utf8proc's own
// normalization forgets the positions.
#pragma once

#include <string_view>

#include "text/tokenizer/working_text.h"

namespace rung::text {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// True only where `text` (valid UTF-8) is in `form` already; false may also mean "not sure".
bool is_normal(std::string_view text, NormalForm form);

// A character composed of several counts as coming from the first of them, one decomposed into
// several gives all of them its place.
void normalize(NormalForm form, AlignedText& text);

}  // namespace rung::text
