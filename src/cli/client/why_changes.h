#pragma once

#include <string>
#include <vector>

#include "scheduler/cache/cluster_facts.h"
#include "scheduler/cache/node_table.h"
#include "scheduler/plugins/profile.h"

namespace gantry::cli {

// A cluster as the scheduler sees it, with its default rules.
struct WhyCluster {
  scheduler::NodeTable nodes;
  scheduler::ClusterFacts facts;
  scheduler::Profile profile = scheduler::MakeProfile(scheduler::ProfileConfig(), nodes);
};

// Single changes after which the pod, which passes nowhere, would pass on some nodes: "a toleration
// for dedicated=gpu:NoSchedule would allow 3 nodes". Those that allow most come first. Each is
// tried by the scheduler's own rules.
std::vector<std::string> NearestChanges(WhyCluster& cluster, const scheduler::PodInfo& pod);

}  // namespace gantry::cli
