#pragma once

#include <string_view>

#include "api/core/v1/pod.pb.h"

namespace gantry::apiserver {

// "Guaranteed", "Burstable" or "BestEffort", by what the containers request and limit.
std::string_view QosClassOf(const api::core::v1::PodSpec& spec);

}  // namespace gantry::apiserver
