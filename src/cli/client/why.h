#pragma once

#include <map>
#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/env/time.h"

// Why a pod is not what its owner wants it to be. Pure functions over objects as the API gives
// them.
namespace gantry::cli {

// One thing that stands in the way: the rule, what it met (nodes, containers, log lines), and the
// nearest ways out.
struct Finding {
  std::string rule;
  std::vector<std::string> details;
  std::vector<std::string> fixes;
};

struct PodFacts {
  api::JsonValue pod;
  std::vector<api::JsonValue> events;  // about the pod, oldest first
  std::vector<api::JsonValue> nodes;   // all
  std::vector<api::JsonValue> pods;    // all; needed while the pod has no node
  std::map<std::string, std::string>
      last_logs;  // by container: the end of what it wrote before it ended
  WallTime now;
};

// Empty: nothing is wrong.
std::vector<Finding> FindPodProblems(const PodFacts& facts);
// Which nodes turn the pod away and why, by the scheduler's own rules (why_scheduling.cc).
std::vector<Finding> FindSchedulingProblems(const PodFacts& facts);
// Of what makes pods (Deployment, ReplicaSet, Job and the like): why it makes none. `events` are
// its own and its ReplicaSets'.
std::vector<Finding> FindWorkloadProblems(const api::JsonValue& workload,
                                          const std::vector<api::JsonValue>& events);

// "default/web is Pending" and what follows, for the terminal.
std::string FormatFindings(const std::string& headline, const std::vector<Finding>& findings);
std::string PodHeadline(const PodFacts& facts);

}  // namespace gantry::cli
