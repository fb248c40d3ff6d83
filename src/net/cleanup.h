#pragma once

#include <string>

#include "base/status.h"

namespace gantry::net {

// Removes everything that the network of the instance with this data directory left in the kernel:
// its nf_tables tables, its bridge, its tunnel device or routes to other nodes, and the host ends
// of its pods' interfaces (and with them the pods' ends); what CNI plug-ins set up they take
// down. Nothing there is success; one failure does not keep the rest. The address records go with
// the data directory; settings under /proc/sys stay. Call it when no such instance runs. Threading:
// any thread; blocks.
Status CleanUpNetwork(const std::string& data_dir);

}  // namespace gantry::net
