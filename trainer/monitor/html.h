// Text of files as text of an HTML page.
#pragma once

#include <string>
#include <string_view>

namespace rung::monitor {

// `text` for an element or a quoted attribute: markup is escaped; control bytes and invalid UTF-8
// become \xNN, line breaks stay.
std::string escape_html(std::string_view text);

}  // namespace rung::monitor
