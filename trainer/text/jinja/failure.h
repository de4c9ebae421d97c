// What a template does wrong while it is lexed, parsed or rendered.
//
// Parts of the engine throw Failure with the bare message; Template (template.h) adds "name:line"
// and turns it into rung::Error. It never leaves the engine.
#pragma once

#include <stdexcept>

namespace rung::text::jinja {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace rung::text::jinja
