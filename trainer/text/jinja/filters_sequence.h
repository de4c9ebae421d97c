// Filters on sequences and dicts. The table in filters.cpp names them.
//
// Those that are lazy in jinja2 (map, select, unique, ...) work through their input at once here
// and return an iterator over the results.
#pragma once

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace rung::text::jinja {

Value filter_length(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_list(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_items(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_first(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_last(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_reverse(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_join(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_sort(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_dictsort(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_unique(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_min(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_max(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_sum(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_map(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_select(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_reject(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_selectattr(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_rejectattr(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_batch(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_slice(Runtime& runtime, const Value& input, const Arguments& arguments);
Value filter_groupby(Runtime& runtime, const Value& input, const Arguments& arguments);

}  // namespace rung::text::jinja
