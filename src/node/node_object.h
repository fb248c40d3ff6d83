#pragma once

#include <string>
#include <vector>

#include "api/core/v1/node.pb.h"
#include "base/env/time.h"
#include "node/images/image_store.h"
#include "node/machine.h"

namespace gantry::node {

struct NodeInputs {
  std::string name;
  std::vector<std::string> ips;  // the primary first
  MachineFacts machine;
  std::string runtime_version;
  std::vector<ImagePtr> images;
  std::string network_not_ready;  // "" when pods get a network
  WallTime now;
};

// The version of Kubernetes' kubelet that this agent stands for.
inline constexpr const char* kKubeletVersion = "v1.32.0";

// The labels that every node carries.
void SetNodeLabels(const NodeInputs& inputs, api::core::v1::Node* node);
// The status: capacity, allocatable, conditions (with the transition times of those that do not
// change), addresses, facts, images. Pure.
void SetNodeStatus(const NodeInputs& inputs, api::core::v1::Node* node);

// Whether two statuses differ in more than their heartbeat times.
bool NodeStatusChanged(const api::core::v1::Node& before, const api::core::v1::Node& after);

}  // namespace gantry::node
