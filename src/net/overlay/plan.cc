#include "net/overlay/plan.h"

#include <algorithm>
#include <tuple>

#include "api/core/v1/node.pb.h"
#include "api/core/v1/node_status.pb.h"
#include "net/names.h"

namespace gantry::net {
namespace {

// Networks that do not overlap, and whose they are.
class Claims {
 public:
  struct Claim {
    Cidr cidr;
    const OverlayNode* owner;
  };
  // Null when the network was free and is now the node's; else a claim that is in its way.
  const Claim* Add(const Cidr& cidr, const OverlayNode& owner) {
    auto next = claims_.lower_bound(cidr.address);
    if (next != claims_.end() && cidr.Contains(next->first)) return &next->second;
    if (next != claims_.begin()) {
      const Claim& before = std::prev(next)->second;
      if (before.cidr.Contains(cidr.address)) return &before;
    }
    claims_.emplace(cidr.address, Claim{cidr, &owner});
    return nullptr;
  }

 private:
  std::map<IpAddress, Claim> claims_;
};

const IpAddress* AddressLike(const OverlayNode& node, const IpAddress& like) {
  for (const IpAddress& ip : node.addresses) {
    if (ip.size == like.size) return &ip;
  }
  return nullptr;
}

const char* FamilyName(const IpAddress& ip) { return ip.is_v4() ? "IPv4" : "IPv6"; }

// One network of a peer.
void PlanNetwork(const OverlaySettings& settings, const OverlayNode& peer, const Cidr& cidr,
                 const IpAddress& underlay, OverlayPlan* plan) {
  const bool vxlan = settings.mode == OverlayMode::kVxlan;
  const IpAddress& family = vxlan ? underlay : cidr.address;
  const IpAddress* address = AddressLike(peer, family);
  if (address == nullptr) {
    plan->unreachable.push_back("node " + peer.name + " has no " + FamilyName(family) +
                                " address to reach its pods in " + cidr.ToString() + " through");
    return;
  }
  if (!vxlan) {
    plan->routes[cidr] = *address;
    return;
  }
  const IpAddress gateway = cidr.At(1);
  const MacAddress mac = MacOfNode(peer.name);
  plan->routes[cidr] = gateway;
  plan->neighbours[gateway] = mac;
  plan->forwarding[mac] = *address;
}

}  // namespace

OverlayNode OverlayNode::Of(const api::core::v1::Node& node) {
  OverlayNode made;
  made.name = node.metadata().name();
  made.created = node.metadata().creation_timestamp().seconds();
  auto add = [&made](const std::string& text) {
    Result<Cidr> cidr = Cidr::Parse(text);
    if (cidr.ok()) made.pod_cidrs.push_back(*cidr);
  };
  for (const std::string& cidr : node.spec().pod_cidrs())
    add(cidr);
  if (made.pod_cidrs.empty() && !node.spec().pod_cidr().empty()) add(node.spec().pod_cidr());
  for (const auto& address : node.status().addresses()) {
    if (address.type() != "InternalIP") continue;
    if (std::optional<IpAddress> ip = IpAddress::Parse(address.address()))
      made.addresses.push_back(*ip);
  }
  return made;
}

IpAddress UnderlayOf(const std::vector<IpAddress>& addresses) {
  for (const IpAddress& ip : addresses) {
    if (ip.is_v4()) return ip;
  }
  return addresses.empty() ? IpAddress() : addresses.front();
}

OverlayPlan PlanOverlay(const OverlaySettings& settings, const std::string& self,
                        const IpAddress& underlay, const OverlayNodes& nodes) {
  std::vector<const OverlayNode*> by_age;
  by_age.reserve(nodes.size());
  for (const auto& [name, node] : nodes)
    by_age.push_back(&node);
  std::sort(by_age.begin(), by_age.end(), [](const OverlayNode* a, const OverlayNode* b) {
    return std::tie(a->created, a->name) < std::tie(b->created, b->name);
  });

  OverlayPlan plan;
  Claims claims;
  for (const OverlayNode* node : by_age) {
    for (const Cidr& cidr : node->pod_cidrs) {
      const Claims::Claim* taken = claims.Add(cidr, *node);
      if (taken != nullptr) {
        std::string why = "pod CIDR " + cidr.ToString() + " of node " + node->name +
                          " overlaps with " + taken->cidr.ToString() + " of node " +
                          taken->owner->name + ", which was there first";
        if (node->name == self) {
          plan.conflict = why + ": delete node " + self + " and let it join again";
        } else {
          plan.unreachable.push_back(std::move(why));
        }
      } else if (node->name != self && settings.mode != OverlayMode::kNone) {
        PlanNetwork(settings, *node, cidr, underlay, &plan);
      }
    }
  }
  return plan;
}

}  // namespace gantry::net
