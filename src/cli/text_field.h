#pragma once

#include <string>
#include <string_view>

#include "api/json_value.h"

namespace gantry::cli {

// The string that a JSON object has under this name; empty where it has none, or something else.
inline std::string TextField(const api::JsonValue& object, std::string_view name) {
  const api::JsonValue* value = object.Find(name);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

}  // namespace gantry::cli
