// Which bytes of a rendered conversation a model learns: the turns of the trained roles.
//
// With {% generation %} blocks in the template (and only the assistant trained) these are exactly
// the blocks. Otherwise a turn is found by rendering the conversation up to it, with the generation
// prompt, and up to and including it: what the second text has behind the first is the turn, less
// the white space at its end. So the end-of-turn marker is in, the newline behind it is not, and
// neither is the header the generation prompt writes.
//
// That needs a template that renders the beginning of a conversation alike whatever follows. Where
// it does not (the thinking of earlier turns is dropped, EOS stands behind the last turn only), the
// turn is found by rendering it once more with a mark next to its content or the function it calls.
// It then begins behind the part of the generation prompt that the text has there, or at its
// content, and ends with what stands behind the mark both in the whole text and where the turn is
// the last. Where neither works: Error kConfig that quotes what differs.
#pragma once

#include <string>
#include <vector>

#include "text/chat_template.h"

namespace rung::text {

struct LearntText {
  std::string text;         // the whole conversation
  std::vector<Span> spans;  // to learn, in order; never empty spans
};

LearntText find_learnt_text(const ChatTemplate& chat_template, const Json& messages,
                            const ChatContext& context,
                            const std::vector<std::string>& trained_roles);

}  // namespace rung::text
