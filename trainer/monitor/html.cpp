#include "monitor/html.h"

#include "base/error.h"

namespace rung::monitor {

std::string escape_html(std::string_view text) {
  std::string html;
  html.reserve(text.size());
  // The control bytes that a terminal must not see are no part of HTML either.
  for (const char character : escape_for_terminal(text)) {
    switch (character) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += character;
    }
  }
  return html;
}

}  // namespace rung::monitor
