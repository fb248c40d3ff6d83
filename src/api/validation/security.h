#pragma once

#include "api/core/v1/pod.pb.h"
#include "api/validation/check.h"

// Security contexts of pods and containers.
namespace gantry::api::validation {

void CheckSecurityContext(const Path& path, const core::v1::SecurityContext& context,
                          bool host_users, Errors* errors);
void CheckPodSecurityContext(const Path& path, const core::v1::PodSpec& spec, Errors* errors);

}  // namespace gantry::api::validation
