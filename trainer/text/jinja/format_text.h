// Python's two ways to format text: "%s and %d" % values, and "{} and {:>5}".format(values).
//
// Not covered: attribute and item access inside {}, and the rarer presentation types.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

// format % values; values is a tuple, a dict (for %(name)s) or one value. Safe like `format`.
Value percent_format(Runtime& runtime, const Value& format, const Value& values);

// format.format(*positional, **named)
Value brace_format(Runtime& runtime, const Value& format, const Arguments& arguments);

}  // namespace rung::text::jinja
