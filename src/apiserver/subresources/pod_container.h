#pragma once

#include <string>

#include "api/core/v1/pod.pb.h"
#include "base/status.h"

namespace gantry::apiserver {

// The container that a log, exec or attach request is about: `wanted`, or the only one. kBadRequest
// worded as kube-apiserver does where there is no telling, or no such container.
Result<std::string> ContainerOf(const api::core::v1::Pod& pod, const std::string& wanted);

}  // namespace gantry::apiserver
