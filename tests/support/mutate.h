// Damaged variants of a text, for tests that throw garbage at a parser.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"

namespace rung::testing {

// Variant `number` of `text`: some bytes changed, removed or doubled, or the end cut off. The same
// number always gives the same variant.
inline std::string mutate(std::string text, uint64_t number) {
  const CounterRandom random(number, stream_of("mutate"));
  uint64_t draw = 0;
  const uint64_t num_edits = 1 + random.below(draw++, 8);
  for (uint64_t edit = 0; edit < num_edits && !text.empty(); ++edit) {
    const size_t at = random.below(draw++, text.size());
    const auto byte = static_cast<char>(random.below(draw++, 256));
    switch (random.below(draw++, 5)) {
      case 0:
        text[at] = byte;
        break;
      case 1:
        text.insert(at, 1, byte);
        break;
      case 2:
        text.erase(at, 1 + random.below(draw++, 16));
        break;
      case 3:
        text.insert(at, text.substr(at / 2, random.below(draw++, 32)));
        break;
      default:
        if (random.below(draw++, 4) == 0) text.resize(at);
    }
  }
  return text;
}

}  // namespace rung::testing
