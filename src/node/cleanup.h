#pragma once

#include <string>

#include "base/status.h"

namespace gantry::node {

// Ends and removes everything on this machine that an agent with this data directory has made, but
// for the directory itself: containers and their monitors, mounts, namespaces, control groups, the
// run directory. No agent may be running. Blocks. "Nothing there" is success; what cannot be
// removed does not keep the rest.
Status CleanUpNode(const std::string& data_dir);

}  // namespace gantry::node
