#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/env/time.h"

namespace gantry::cli {

// An object as `describe` shows it: pods, nodes, deployments and services as kubectl does, all
// others as an indented tree. `events` are its own, oldest first; `pods` are those of a node.
std::string DescribeObject(const api::JsonValue& object, const std::vector<api::JsonValue>& events,
                           const std::vector<api::JsonValue>& pods, WallTime now);

}  // namespace gantry::cli
