#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "net/ip.h"
#include "net/netlink/route.h"
#include "net/overlay/settings.h"

namespace gantry::api::core::v1 {
class Node;
}

namespace gantry::net {

// What the overlay has to know of a node. Threading: a value.
struct OverlayNode {
  static OverlayNode Of(const api::core::v1::Node& node);

  std::string name;
  int64_t created = 0;  // Unix seconds
  std::vector<Cidr> pod_cidrs;
  std::vector<IpAddress> addresses;  // InternalIP, the primary first

  bool operator==(const OverlayNode&) const = default;
};
using OverlayNodes = std::map<std::string, OverlayNode>;  // by name

// What is to be in the kernel of one node for its pods to reach those of the others.
struct OverlayPlan {
  std::map<Cidr, IpAddress> routes;  // from a node's pods to the gateway in front of them
  std::map<IpAddress, MacAddress> neighbours;
  std::map<MacAddress, IpAddress> forwarding;
  // One line for each node that cannot be reached, and why.
  std::vector<std::string> unreachable;
  // Why this node's pods would be in another node's way; "" where they are not.
  std::string conflict;
};

// The address by which a node sends to other nodes: its first IPv4 one, else its first. All nodes
// of a cluster need one of the same family.
IpAddress UnderlayOf(const std::vector<IpAddress>& addresses);

// The plan of node `self`, whose packets to other nodes come from `underlay`. Where two nodes have
// overlapping subnets, the older one keeps its own. Pure.
OverlayPlan PlanOverlay(const OverlaySettings& settings, const std::string& self,
                        const IpAddress& underlay, const OverlayNodes& nodes);

}  // namespace gantry::net
