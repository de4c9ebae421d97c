// How deep an expression tree is: what the parser bounds.
#pragma once

#include <cstddef>

#include "text/jinja/ast.h"

namespace rung::text::jinja {

// 1 for a leaf; else 1 + the deepest child's Expression::depth.
size_t depth_with_children(const Expression::Node& node);

}  // namespace rung::text::jinja
