#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::api {
class JsonValue;
}

namespace gantry::cli {

// How -o asks for objects to be printed: "json", "yaml", "jsonpath=TEMPLATE", "jsonpath-file=FILE";
// "name" and tables are the caller's.
bool PrintsObjects(std::string_view format);
// `object` may be a List. kubectl's layout: keys sorted, managed fields left out.
Result<std::string> PrintObject(std::string_view format, api::JsonValue object);

}  // namespace gantry::cli
