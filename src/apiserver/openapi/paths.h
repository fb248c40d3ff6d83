#pragma once

#include <span>

#include "apiserver/openapi/json_writer.h"
#include "apiserver/openapi/schemas.h"
#include "apiserver/registry/resource_row.h"

namespace gantry::apiserver::openapi {

// Appends the paths of the resources, sorted, as the members of an object that is open.
void WritePaths(std::span<const ResourceRow* const> rows, Dialect dialect, JsonWriter* out);

}  // namespace gantry::apiserver::openapi
