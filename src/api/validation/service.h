#pragma once

#include "api/core/v1/service.pb.h"
#include "api/validation/check.h"

namespace gantry::api::validation {

// clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy of a service that is not an alias, against
// each other. `path`: that of the spec.
void CheckServiceAddresses(const Path& path, const core::v1::ServiceSpec& spec, Errors* errors);

}  // namespace gantry::api::validation
