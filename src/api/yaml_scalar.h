#pragma once

#include <string_view>

#include "api/json_value.h"

namespace gantry::api {

// What a plain YAML scalar stands for, as kubectl's YAML library resolves it: null, a boolean
// (yes/no/on/off too), a number (0644 is octal) or else a string.
JsonValue ResolvePlainYaml(std::string_view text);

// True where the text, written without quotes, would come back as the same string.
bool ResolvesToString(std::string_view text);

}  // namespace gantry::api
