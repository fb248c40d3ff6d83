#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/object.h"
#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "client/client.h"
#include "client/events.h"
#include "node/fencing.h"
#include "node/lease.h"
#include "node/runtime/runtime.h"

namespace gantry::node {

// What a fence sees of its node.
class FencedNode {
 public:
  virtual ~FencedNode() = default;
  struct PodHere {
    api::Ref<api::core::v1::Pod> pod;
    std::vector<ContainerToEnd> running;
  };
  // Every pod of which a container may run, also one that a former agent left and that nobody looks
  // after yet.
  virtual std::vector<PodHere> PodsHere() = 0;
  // The pod is fenced no more: what was not started may be.
  virtual void OnReleased(const std::string& uid) = 0;
};

// Stops the pods of a node of which there must be only one when its lease is nearly over, and lets
// them go on when a server is back and still wants them here (node/fencing.h). Threading: one
// strand, the node's.
class Fence {
 public:
  // All outlive it.
  Fence(Env& env, client::Client& client, Runtime& runtime, client::EventRecorder& events,
        const NodeLease& lease, FencedNode& node);

  // Stops pods when it is time, until `cancel`.
  Task<> Keep(CancelToken cancel);
  // Lets them go on, until `cancel`. Apart from Keep: a server that does not answer may be waited
  // for longer than the lease is.
  Task<> KeepReleasing(CancelToken cancel);
  // The lease was renewed.
  void LeaseGranted();
  // Whether no container of the pod may be started now. Asked at the last moment before each.
  bool Forbids(const api::Ref<api::core::v1::Pod>& pod);
  // Asks which of the pod's claims many nodes may use; in good time, since at the time of need
  // nobody answers.
  Task<> LookUpClaims(api::Ref<api::core::v1::Pod> pod);

 private:
  FenceTimes Times() const;
  Task<> StopPods(SteadyTime kill, CancelToken cancel);
  Task<> LetGo(CancelToken cancel);
  bool IsAlone(const api::core::v1::Pod& pod) const;
  void Hold(const api::Ref<api::core::v1::Pod>& pod);

  Env& env_;
  client::Client& client_;
  Runtime& runtime_;
  client::EventRecorder& events_;
  const NodeLease& lease_;
  FencedNode& node_;
  const SteadyTime began_;  // in place of a renewal that was never granted
  Duration duration_;       // of the lease by which it waits
  struct Fenced {
    api::Ref<api::core::v1::Pod> pod;
    bool replaced = false;  // it is ours no more, and ends
  };
  std::map<std::string, Fenced> fenced_;  // by uid
  std::set<std::string> shared_claims_;   // "namespace/name" of claims that many nodes may use
  Notifier lease_changed_, release_;
};

}  // namespace gantry::node
