#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api/core/v1/node.pb.h"
#include "api/object.h"
#include "scheduler/framework/pod_info.h"

namespace gantry::scheduler {

// Pods that the rules about other pods cannot tell apart: same namespace, labels and pod affinity,
// and all or none of them being deleted.
struct PodGroup {
  explicit PodGroup(const PodInfo& one) : shape(one.shape), terminating(one.terminating()) {}

  uint64_t id = 0;    // never given twice; 0 for one that is on no node
  PodShapePtr shape;  // of one of them, for what they have in common
  bool terminating = false;
  int64_t pods = 0;  // on all nodes
};

// A node and the pods that are on it or on their way to it.
struct NodeInfo {
  // Counts a pod in or out; `group` is its group.
  void Add(const PodInfoPtr& pod, PodGroup* group);
  void Remove(const std::string& uid);

  std::string name;
  api::Ref<api::core::v1::Node> node;  // null while only pods refer to it
  Resources allocatable;
  Resources requested;
  int64_t score_milli_cpu = 0;  // requested, counting PodShape::score_requests
  int64_t score_memory = 0;
  std::map<std::string, int64_t, std::less<>> image_sizes;  // by every name of the image
  struct Placed {
    PodInfoPtr pod;
    PodGroup* group = nullptr;
  };
  std::map<std::string, Placed, std::less<>> pods;  // by uid
  std::vector<std::pair<const PodGroup*, int>> groups;
  std::map<std::string, PodInfoPtr> nominated;  // by uid: those for which room is being made here
  // Grows with every change of this node, across all nodes.
  uint64_t generation = 0;
};

}  // namespace gantry::scheduler
