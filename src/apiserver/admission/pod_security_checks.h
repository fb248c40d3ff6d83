#pragma once

#include <cstdint>
#include <string>

#include "api/core/v1/pod.pb.h"

namespace gantry::apiserver {

enum class SecurityLevel : uint8_t { kPrivileged, kBaseline, kRestricted };

// Where a pod breaks the rules of a level, as one line: `host namespaces (hostNetwork=true),
// privileged (container "c" must not ...)`. Empty where it keeps to them.
std::string SecurityViolations(const api::core::v1::PodSpec& spec, SecurityLevel level);

}  // namespace gantry::apiserver
