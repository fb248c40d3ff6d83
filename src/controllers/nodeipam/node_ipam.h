#pragma once

#include <memory>
#include <string>

#include "client/reconciler.h"

namespace gantry::controllers {

struct NodeIpamOptions {
  std::string cluster_cidr;  // one range, or one of each IP family with a comma between
  int node_prefix_v4 = 24;
  int node_prefix_v6 = 64;
};

// Gives every node one pod subnet out of each range, lowest free one first. kBadRequest when a
// range is not one, has no room for a single node, or shares its family with another.
Result<std::unique_ptr<client::Reconciler>> MakeNodeIpamController(const NodeIpamOptions& options);

}  // namespace gantry::controllers
