#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scheduler/evaluation/evaluation.h"

namespace gantry::scheduler {

// The pods that would have to go from a node, the most important first.
struct Victims {
  std::vector<PodInfoPtr> pods;
  int64_t budget_violations = 0;  // of how many a disruption budget forbids it
};

struct PreemptionPlan {
  // By node: where the pod would pass without the victims.
  std::map<std::string, Victims> candidates;
  // Why there are no candidates, as the user reads it behind "preemption: ".
  std::string message;
  // The pod's nomination is worth nothing any more.
  bool drop_nomination = false;
};

// Looks for nodes on which `pod`, which passes nowhere, would pass without some pods of lower
// priority, at a random place first. As kube-scheduler's DefaultPreemption. `refused` are nodes
// that others than the rules turned away, and may take when pods go.
PreemptionPlan PlanPreemption(Evaluation& evaluation, const NodeTable& nodes,
                              const ClusterFacts& facts, const Profile::Preemption& options,
                              const PodInfo& pod, uint64_t random,
                              const std::vector<std::string>& refused = {});

// The node whose victims matter least: fewest budget violations, lowest priorities, fewest pods,
// youngest. `candidates` is not empty.
std::string LeastHarmful(const std::map<std::string, Victims>& candidates);

// Pods for which room is being made on the node and that are less important than `pod`: it may no
// longer be there.
std::vector<PodInfoPtr> LessImportantNominations(const NodeTable& nodes, const std::string& node,
                                                 const PodInfo& pod);

}  // namespace gantry::scheduler
