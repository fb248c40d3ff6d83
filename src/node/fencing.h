#pragma once

#include <functional>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"
#include "node/lease.h"
#include "node/runtime/runtime.h"

// Fencing: a node that reaches no server must take it that the cluster replaces its pods. What must
// not run twice is stopped here before the cluster may believe that it has stopped.
namespace gantry::node {

// When such pods are told to stop, and when what is left of them is killed: both within the lease
// that was granted at `renewed`.
struct FenceTimes {
  SteadyTime begin;
  SteadyTime kill;
};
FenceTimes FenceAfter(SteadyTime renewed, const LeaseTimes& times);

// Whether the pod is one of which there must be only one: it belongs to a StatefulSet, or it writes
// to a volume that one node may use at a time. `shared`: whether many nodes may use a claim.
bool HasIdentity(const api::core::v1::Pod& pod,
                 const std::function<bool(const std::string& claim)>& shared);

struct ContainerToEnd {
  std::string id, bundle;
  int stop_signal;
};
// Sends each its stop signal, and SIGKILL at `kill`; returns when all have ended, or soon after
// that. Says nothing to a server and changes no record: whoever keeps the pod finds the exits.
Task<> EndContainers(Env& env, Runtime& runtime, std::vector<ContainerToEnd> containers,
                     SteadyTime kill, CancelToken cancel);

}  // namespace gantry::node
