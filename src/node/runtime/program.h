#pragma once

#include <string>

#include "base/status.h"

namespace gantry::node {

// Whether a process of a container can execute `program`: looked up below `root` (the container's
// root directory as we see it) with the search path and the working directory of `config`, the
// container's OCI configuration. The error is worded as users of Kubernetes know it. Blocks
// shortly.
Status CheckProgram(const std::string& root, const std::string& config, const std::string& program);

}  // namespace gantry::node
