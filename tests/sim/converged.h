#pragma once

#include <string>

#include "sim/cluster.h"
#include "sim/workload.h"

namespace gantry::sim {

// What is not yet as users want it, in words; empty once all is: deployments at their size and
// version with every pod ready, services with exactly these endpoints, nodes ready, nothing left of
// what was deleted, and on every machine just the containers of the pods that are bound to it.
std::string Difference(Cluster& cluster, const Wanted& wanted);

// What servers show that is not in the store, or the other way round; empty: nothing.
Task<std::string> CacheDifference(Cluster& cluster);

}  // namespace gantry::sim
