#pragma once

#include <vector>

#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/object.h"
#include "client/reconciler.h"

namespace gantry::controllers {

using SliceRef = api::Ref<api::discovery::v1::EndpointSlice>;

// Endpoints that share one list of ports, for one address family.
struct EndpointGroup {
  std::string family;  // "IPv4", "IPv6"
  std::vector<api::discovery::v1::EndpointPort> ports;
  std::vector<api::discovery::v1::Endpoint> endpoints;
};

// Turns the slices that are there into ones that hold the groups, with as few changes as it can:
// endpoints stay in their slice, new ones fill the gaps of slices that change anyway, then of
// others, then new slices. At most 100 in each.
void PlanSlices(const api::core::v1::Service& service, std::vector<EndpointGroup> wanted,
                const std::vector<SliceRef>& existing, client::Plan* plan);

}  // namespace gantry::controllers
