#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/discovery/v1/endpoint_slice.pb.h"
#include "api/object.h"

namespace gantry::controllers {

// Hints of endpoints: whose clients should use them. Proxies follow them where all ready endpoints
// of a service have some.

// Whether the service asks for hints by zone with the annotation
// service.kubernetes.io/topology-mode (or the older one): its trafficDistribution then has no say.
bool WantsTopologyHints(const api::core::v1::Service& service);

// For the service's trafficDistribution: a ready endpoint is for its own zone, and with
// PreferSameNode for its own node. Without one there are no hints.
void HintByDistribution(const api::core::v1::Service& service,
                        api::discovery::v1::Endpoint* endpoint);

// Each zone's part of the CPUs of the ready nodes; control plane nodes do not count. Empty where a
// node does not tell its zone or CPUs, or where there are no two zones.
using ZoneShares = std::map<std::string, double>;
ZoneShares SharesOfZones(std::span<const api::Ref<api::core::v1::Node>> nodes);

// What of a node SharesOfZones looks at, so that other changes need not be looked at.
std::string TopologyOf(const api::core::v1::Node& node);

// Spreads the ready ones of `endpoints` over the zones by their shares, most of them to their own,
// as kube-controller-manager does: none is to have a fifth more than its share. "" when that is
// done, else why it cannot be, as the event says it; then there are no hints.
std::string SpreadOverZones(const ZoneShares& shares,
                            std::span<api::discovery::v1::Endpoint* const> endpoints);

}  // namespace gantry::controllers
