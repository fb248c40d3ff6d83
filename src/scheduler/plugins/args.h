#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "scheduler/framework/pod_shape.h"

namespace gantry::scheduler {

// The settings of plug-ins, with kube-scheduler's defaults.

struct ResourceWeight {
  std::string name;
  int64_t weight = 1;
};

struct NodeResourcesFitArgs {
  enum class Strategy : uint8_t { kLeastAllocated, kMostAllocated, kRequestedToCapacityRatio };
  struct ShapePoint {
    int64_t utilization = 0;  // percent
    int64_t score = 0;        // 0 to 10
  };

  std::vector<std::string> ignored_resources;
  std::vector<std::string> ignored_resource_groups;  // "example.com" ignores example.com/gpu
  Strategy strategy = Strategy::kLeastAllocated;
  std::vector<ResourceWeight> resources = {{"cpu", 1}, {"memory", 1}};
  std::vector<ShapePoint> shape;  // kRequestedToCapacityRatio: by growing utilization
};

struct NodeResourcesBalancedAllocationArgs {
  std::vector<ResourceWeight> resources = {{"cpu", 1}, {"memory", 1}};
};

struct NodeAffinityArgs {
  std::optional<api::core::v1::NodeAffinity> added_affinity;  // for every pod of the profile
};

struct InterPodAffinityArgs {
  int64_t hard_pod_affinity_weight = 1;
  bool ignore_preferred_terms_of_existing_pods = false;
};

struct PodTopologySpreadArgs {
  // For pods without constraints of their own that have siblings; their selectors are empty.
  std::vector<SpreadConstraint> default_constraints;
  // The defaults are the scheduler's own: nodes without their labels are not left out.
  bool system_defaults = true;

  PodTopologySpreadArgs();
};

struct PluginArgs {
  NodeResourcesFitArgs fit;
  NodeResourcesBalancedAllocationArgs balanced;
  NodeAffinityArgs node_affinity;
  InterPodAffinityArgs inter_pod_affinity;
  PodTopologySpreadArgs spread;
};

}  // namespace gantry::scheduler
