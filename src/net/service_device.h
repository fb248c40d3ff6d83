#pragma once

#include <vector>

#include "base/status.h"
#include "net/ip.h"
#include "net/names.h"

namespace gantry::net {

// Where pods are on a network of CNI plug-ins: a device of this instance with the addresses that
// the node itself answers on (cluster DNS), and routes to it for services, so that the host reaches
// them without a default route. `node_ips` are what the host then sends from. Nothing is done
// twice. Blocks for some microseconds.
Status EnsureServiceDevice(const InstanceNames& names, const std::vector<IpAddress>& addresses,
                           const std::vector<Cidr>& service_cidrs,
                           const std::vector<IpAddress>& node_ips);

}  // namespace gantry::net
