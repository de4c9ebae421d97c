#include "data/example.h"

#include <algorithm>

namespace rung::data {

int64_t Example::num_supervised() const {
  if (labels.empty()) return 0;
  return std::count_if(labels.begin() + 1, labels.end(),
                       [](int32_t label) { return label != kIgnore; });
}

}  // namespace rung::data
