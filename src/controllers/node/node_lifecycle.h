#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "client/reconciler.h"
#include "controllers/node/zones.h"

namespace gantry::controllers {

// How long a silent node is waited for.
struct NodeLifecycleOptions {
  // Between looks at nodes that are to be evicted at their zone's rate.
  Duration monitor_period = std::chrono::seconds(5);
  // Since the lease was last seen to be renewed, then Ready becomes Unknown. A node whose lease is
  // for longer has that time.
  Duration grace_period = std::chrono::seconds(50);
  Duration startup_grace_period = std::chrono::seconds(60);  // for nodes that never reported
  EvictionRates rates;
  // Whether the node's agent is heard through its tunnel. Then the grace period is twice as long:
  // what fails is rather the writing of leases. Empty: nobody listens.
  std::function<bool(const std::string& node)> heard;
  // How long ago the store refused a write for lack of room; nullopt: it never did. Until then
  // nodes could not renew their leases. Empty: nobody knows.
  std::function<std::optional<Duration>()> since_refusal;
};

// Turns leases (seen to change: clocks of nodes are not believed) and conditions of nodes into the
// Ready condition Unknown, into taints (not-ready, unreachable, memory-pressure, disk-pressure,
// pid-pressure, network-unavailable, unschedulable), marks the pods of unreachable nodes not ready.
// Taints that evict come at the rate of the node's zone, and not at all while no node anywhere is
// ready.
std::unique_ptr<client::Reconciler> MakeNodeLifecycleController(NodeLifecycleOptions options = {});

// Deletes the pods that do not tolerate a NoExecute taint of their node, when their
// tolerationSeconds are over.
std::unique_ptr<client::Reconciler> MakeTaintEvictionController();

}  // namespace gantry::controllers
