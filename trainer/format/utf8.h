// Whether bytes are well-formed UTF-8 (RFC 3629): no overlong forms, surrogates or values above
// U+10FFFF. What becomes JSON must be.
#pragma once

#include <string_view>

namespace rung::format {

bool is_utf8(std::string_view bytes);

}  // namespace rung::format
