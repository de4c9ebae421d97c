// Filters on text. The table in filters.cpp names them.
#pragma once

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

Value filter_upper(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_lower(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_capitalize(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_title(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_trim(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_replace(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_indent(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_center(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_truncate(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_wordcount(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_string(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_safe(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_escape(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_forceescape(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_format(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_tojson(Runtime& runtime, const Value& input, const Arguments& arguments);

}  // namespace rung::text::jinja
