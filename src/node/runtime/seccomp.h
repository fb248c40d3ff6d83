#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"

namespace gantry::node {

// The system calls that RuntimeDefault allows, as the "seccomp" part of an OCI configuration. Some
// are allowed only to containers that hold the capability which they need.
api::JsonValue DefaultSeccompProfile(const std::vector<std::string>& capabilities);

}  // namespace gantry::node
