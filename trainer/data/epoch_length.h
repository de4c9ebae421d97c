// How many rows and optimizer steps an epoch has: what a Loader would say (data/loader.h), from the
// sizes of its examples alone.
#pragma once

#include <cstdint>

#include "data/example_sizes.h"
#include "data/loader.h"

namespace rung::data {

int64_t rows_in_epoch(const ExampleSizes& examples, const LoaderOptions& options);
int64_t steps_in_epoch(const ExampleSizes& examples, const LoaderOptions& options);

}  // namespace rung::data
