#pragma once

#include <string_view>

namespace gantry::api {

// Whether a node may put this label on itself: of those in the domains of Kubernetes the kubelet's
// own, and nothing that would steer others' pods to it (node-restriction.kubernetes.io).
bool IsLabelOfKubelets(std::string_view label);

}  // namespace gantry::api
