#pragma once

#include <cstdint>

#include "scheduler/framework/node_info.h"

namespace gantry::scheduler {

// Something that happened to the cluster and may let a pod pass that a rule turned away.
struct ClusterEvent {
  enum Kind : uint32_t {
    kNodeAdded = 1,
    kNodeAllocatable = 2,
    kNodeLabels = 4,
    kNodeTaints = 8,  // and spec.unschedulable
    kNodeGone = 16,
    kPodPlaced = 32,    // bound, or decided by this scheduler
    kPodLabels = 64,    // of a placed pod
    kPodGone = 128,     // a placed pod ended or was deleted
    kPodSmaller = 256,  // a placed pod asks for less
    kNamespaceLabels = 512,
    kSelectors = 1024,  // of services or workloads
    kAny = UINT32_MAX,  // nothing is known about it
  };

  ClusterEvent() = default;
  explicit ClusterEvent(uint32_t kinds) : kinds(kinds) {}

  uint32_t kinds = 0;  // Kind bits
  // Node events: what it was (null for a new one) and is (null for one that went).
  const NodeInfo* node_before = nullptr;
  const NodeInfo* node = nullptr;
  // Pod events: what it was and is, null likewise.
  const PodInfo* pod_before = nullptr;
  const PodInfo* pod = nullptr;
};

}  // namespace gantry::scheduler
