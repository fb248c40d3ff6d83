#pragma once

#include <cstdint>
#include <string>

#include "api/core/v1/pod.pb.h"

namespace gantry::apiserver {

enum class SecurityLevel : uint8_t { kPrivileged, kBaseline, kRestricted };

// The newest rules, whatever came after them.
inline constexpr int kLatestRules = 1000;

// Where a pod breaks the rules of a level as they were in Kubernetes 1.MINOR, as one line: `host
// namespaces (hostNetwork=true), privileged (container "c" must not ...)`; without what stands in
// parentheses where `details` is false. Empty where it keeps to them.
std::string SecurityViolations(const api::core::v1::PodSpec& spec, SecurityLevel level,
                               int minor = kLatestRules, bool details = true);

}  // namespace gantry::apiserver
