#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "node/pod/containers.h"

namespace gantry::node {

// What probes say about a running container. Absent: there is no such probe, or it has not been
// asked yet.
struct ProbeResults {
  std::optional<bool> liveness, readiness, startup;
};

struct ObservedPod {
  const ContainerRuns* runs = nullptr;
  bool sandbox_ready = false;
  int sandbox = 0;  // its number; runs of earlier ones are history
  std::map<std::string, ProbeResults, std::less<>> probes;  // by container
};

struct ContainerToKill {
  std::string id, name, message;
};

struct PodActions {
  bool create_sandbox = false;
  std::vector<ContainerToKill> kill;
  std::vector<std::string> start;  // in order; init containers come alone
  bool finished = false;           // nothing runs any more, nor will: end the pod
};

// Compares what a pod should be with what it is. Plain and pure; the worker carries the plan out,
// applying back-off to starts.
PodActions ComputeActions(const api::core::v1::Pod& pod, const ContainerList& containers,
                          const ObservedPod& observed);

// Whether an ended run is to be run again by the pod's rules.
bool ShouldRestart(const api::core::v1::Pod& pod, const ContainerEntry& entry,
                   const ContainerRun* latest);

// A container counts as started when its startup probe, if any, has succeeded.
bool IsStarted(const ContainerEntry& entry, const ContainerRun* latest, const ProbeResults& probes);

// All init containers have done their work in this sandbox (or the main ones run already).
bool IsInitialized(const ContainerList& containers, const ObservedPod& observed);

}  // namespace gantry::node
