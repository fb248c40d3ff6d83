#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "controllers/node/node_lifecycle.h"
#include "node/lease.h"

namespace gantry::cli {

// How quickly a cluster takes a silent machine for dead (--failover). What it costs stands in
// docs/operating.md.
struct FailoverProfile {
  node::LeaseTimes lease;  // that agents are told
  controllers::NodeLifecycleOptions node_lifecycle;
  int64_t toleration_seconds = 300;  // that pods get for nodes that are not ready or not reachable
  Duration tunnel_dead_after = std::chrono::seconds(10);
};

// "default" or "fast".
Result<FailoverProfile> FindFailoverProfile(const std::string& name);

}  // namespace gantry::cli
