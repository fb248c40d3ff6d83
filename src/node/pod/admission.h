#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/pod.pb.h"
#include "node/pod/context.h"

namespace gantry::node {

// A sysctl as its name is compared: "net/ipv4/x" is "net.ipv4.x".
std::string SysctlName(std::string_view name);

// Whether a node that runs `others` can take `pod`, by the kubelet's own check: resources, host
// ports, selector, sysctls. Pure.
std::optional<Rejection> AdmitPod(const api::core::v1::Pod& pod,
                                  const std::vector<const api::core::v1::Pod*>& others,
                                  const api::core::v1::Node& node);

}  // namespace gantry::node
