#pragma once

#include <span>
#include <string>

#include "api/field_error.h"

namespace gantry::api::core::v1 {
class Service;
}

namespace gantry::api {

// Fills ipFamilyPolicy and ipFamilies of a service that comes (`old` null) or changes, as
// kube-apiserver does, and brings clusterIPs down to one where the service gives its second family
// up; or says why it cannot have what it asks for. `configured`: the families of the cluster
// ("IPv4", "IPv6"), the default first. Pure; any thread.
void DefaultServiceFamilies(core::v1::Service* service, const core::v1::Service* old,
                            std::span<const std::string> configured, FieldErrors* errors);

// "IPv4" or "IPv6".
std::string_view IpFamilyOf(std::string_view address);

}  // namespace gantry::api
