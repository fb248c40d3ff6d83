#pragma once

#include <string>
#include <string_view>

#include "api/json_value.h"

namespace gantry::api {

// A document as Go's %v prints its decoded form: "map[a:1 b:[x y]]". What error messages show.
std::string GoText(const JsonValue& value);

// The Go type that a value decodes to: "string", "int64", "map[string]interface {}".
std::string_view GoTypeOf(const JsonValue& value);

}  // namespace gantry::api
