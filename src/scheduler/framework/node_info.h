#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/core/v1/node.pb.h"
#include "api/object.h"
#include "scheduler/framework/pod_info.h"

namespace gantry::scheduler {

// A node and the pods that are on it or on their way to it.
struct NodeInfo {
  std::string name;
  api::Ref<api::core::v1::Node> node;  // null while only pods refer to it
  Resources allocatable;
  Resources requested;
  int64_t score_milli_cpu = 0;  // requested, counting PodInfo::score_requests
  int64_t score_memory = 0;
  std::map<std::string, int64_t, std::less<>> image_sizes;  // by every name of the image
  std::map<std::string, PodInfoPtr> pods;                   // by uid
  // Grows with every change of this node, across all nodes.
  uint64_t generation = 0;
};

}  // namespace gantry::scheduler
