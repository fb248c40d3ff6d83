#pragma once

#include <memory>

#include "scheduler/framework/plugin.h"
#include "scheduler/plugins/args.h"

namespace gantry::scheduler {

// The rules, each in a file of its own. Names are those of kube-scheduler's plug-ins.
std::shared_ptr<const Plugin> MakeNodeUnschedulable();
std::shared_ptr<const Plugin> MakeNodeName();
std::shared_ptr<const Plugin> MakeTaintToleration();
std::shared_ptr<const Plugin> MakeNodeAffinity(NodeAffinityArgs args);
std::shared_ptr<const Plugin> MakeNodePorts();
std::shared_ptr<const Plugin> MakeNodeResourcesFit(NodeResourcesFitArgs args);
std::shared_ptr<const Plugin> MakeBalancedAllocation(NodeResourcesBalancedAllocationArgs args);
// `nodes` outlives it.
std::shared_ptr<const Plugin> MakeImageLocality(const NodeTable& nodes);
std::shared_ptr<const Plugin> MakePodTopologySpread(PodTopologySpreadArgs args);
std::shared_ptr<const Plugin> MakeInterPodAffinity(InterPodAffinityArgs args);

}  // namespace gantry::scheduler
