#pragma once

#include <string>

#include "api/apps/v1/daemon_set.pb.h"
#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"

namespace gantry::controllers {

// Which nodes a DaemonSet is for, and how its pods are tied to them.

struct Placement {
  bool run = false;   // a pod is to be made there
  bool keep = false;  // one that is there may stay
};
Placement PlacementOn(const api::apps::v1::DaemonSet& set, const api::core::v1::Node& node);

// A pod for the node, named by the server; the scheduler can put it nowhere else. `hash` names the
// revision.
api::core::v1::Pod MakeDaemonPod(const api::apps::v1::DaemonSet& set, const std::string& hash,
                                 const std::string& node);

// The node that a pod is on, or is meant for; empty when neither is said.
std::string NodeOfDaemonPod(const api::core::v1::Pod& pod);

}  // namespace gantry::controllers
