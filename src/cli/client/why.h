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
  std::vector<api::JsonValue> events;      // about the pod, oldest first
  std::vector<api::JsonValue> nodes;       // all
  std::vector<api::JsonValue> pods;        // all; needed while the pod has no node
  std::vector<api::JsonValue> namespaces;  // all; likewise
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

// Why a service has no endpoints, or not all. `pods` are those of its namespace, `slices` its
// EndpointSlices (why_service.cc).
std::vector<Finding> FindServiceProblems(const api::JsonValue& service,
                                         const std::vector<api::JsonValue>& pods,
                                         const std::vector<api::JsonValue>& slices);
// Which network policies stand before the pods of a service. `policies` are those of its namespace
// (why_policy.cc).
std::vector<Finding> FindPolicyProblems(const api::JsonValue& service,
                                        const std::vector<api::JsonValue>& pods,
                                        const std::vector<api::JsonValue>& policies);
// Of any other object: its deletion, its conditions, and what its last events warn of
// (why_other.cc).
std::vector<Finding> FindOtherProblems(const api::JsonValue& object,
                                       const std::vector<api::JsonValue>& events, WallTime now);

// "default/web is Pending" and what follows, for the terminal; `more` is the command that shows
// more.
std::string FormatFindings(const std::string& headline, const std::vector<Finding>& findings,
                           const std::string& more = "");
// Names the namespace in the commands that a text has.
std::string WithNamespace(std::string text, const std::string& ns);
std::string PodHeadline(const PodFacts& facts);

}  // namespace gantry::cli
