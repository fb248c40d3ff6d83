#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"

namespace gantry::cli {

// Sorts objects by the field that `path` (as of --sort-by) names: numbers, quantities and texts
// with numbers in them by their value. `object_path` is where the object is in each item: "" or,
// in the rows of a table, "object". Those without the field come first; a field that none of them
// has is a failure.
Status SortBy(const std::string& path, const std::string& object_path,
              api::JsonValue::Array* items);

// "web-2" before "web-10".
bool NaturalLess(std::string_view a, std::string_view b);

}  // namespace gantry::cli
