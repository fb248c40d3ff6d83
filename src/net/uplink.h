#pragma once

#include <cstdint>

#include "net/ip.h"
#include "net/netlink/route.h"

namespace gantry::net {

// The interface by which a node reaches others.
struct Uplink {
  int link = 0;
  uint32_t mtu = 1500;
};

// The interface that has `node_ip`, else the one with the default route; link 0 and the usual MTU
// where there is none. Blocks for some microseconds.
Uplink FindUplink(RouteSocket& route, const IpAddress& node_ip);

}  // namespace gantry::net
