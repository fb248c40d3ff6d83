#pragma once

#include <memory>
#include <string>

#include "client/reconciler.h"

namespace gantry::controllers {

// Gives every node a pod subnet of `node_prefix_length` bits out of `cluster_cidr` (IPv4), lowest
// free one first. kBadRequest when the range is not one or has no room for a single node.
Result<std::unique_ptr<client::Reconciler>> MakeNodeIpamController(const std::string& cluster_cidr,
                                                                   int node_prefix_length = 24);

}  // namespace gantry::controllers
