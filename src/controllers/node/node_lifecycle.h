#pragma once

#include <memory>

#include "client/reconciler.h"
#include "controllers/node/zones.h"

namespace gantry::controllers {

// How long a silent node is waited for.
struct NodeLifecycleOptions {
  Duration monitor_period = std::chrono::seconds(5);
  Duration grace_period =
      std::chrono::seconds(50);  // since the lease was last renewed, then Ready becomes Unknown
  Duration startup_grace_period = std::chrono::seconds(60);  // for nodes that never reported
  EvictionRates rates;
};

// Turns leases and conditions of nodes into the Ready condition Unknown, into taints (not-ready,
// unreachable, memory-pressure, disk-pressure, pid-pressure, network-unavailable, unschedulable),
// marks the pods of unreachable nodes not ready. Taints that evict come at the rate of the node's
// zone, and not at all while no node anywhere is ready.
std::unique_ptr<client::Reconciler> MakeNodeLifecycleController(NodeLifecycleOptions options = {});

// Deletes the pods that do not tolerate a NoExecute taint of their node, when their
// tolerationSeconds are over.
std::unique_ptr<client::Reconciler> MakeTaintEvictionController();

}  // namespace gantry::controllers
