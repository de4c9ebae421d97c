// Builds the syntax tree of a template: jinja2's grammar without template inheritance.
//
// {% include %}, {% import %}, {% extends %} and {% block %} need other templates, which a chat
// template does not have: they are refused by name. Throws SyntaxFailure.
#pragma once

#include <string_view>

#include "text/jinja/ast.h"

namespace rung::text::jinja {

// `source` must be valid UTF-8.
SyntaxTree parse(std::string_view source);

}  // namespace rung::text::jinja
