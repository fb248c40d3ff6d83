#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "api/core/v1/pod.pb.h"

namespace gantry::api {

// Amounts by resource name: cpu in thousandths, all others in units.
using ResourceAmounts = std::map<std::string, int64_t, std::less<>>;

ResourceAmounts ToAmounts(const google::protobuf::Map<std::string, resource::Quantity>& list);

// What the pod needs at its peak: all containers and sidecars together, or an init container with
// the sidecars that started before it, whichever is more, plus overhead; what the pod itself asks
// for wins over its containers.
ResourceAmounts PodRequests(const core::v1::Pod& pod);

}  // namespace gantry::api
