#include "net/uplink.h"

namespace gantry::net {
namespace {

// Smaller ones are no Internet.
constexpr uint32_t kLeastMtu = 576;

int LinkOf(RouteSocket& route, const IpAddress& node_ip) {
  Result<std::vector<InterfaceAddress>> addresses = route.Addresses();
  if (addresses.ok()) {
    for (const InterfaceAddress& address : *addresses) {
      if (node_ip && address.ip == node_ip) return address.link;
    }
  }
  // Any address out there does.
  for (const char* text : {"1.1.1.1", "2606:4700:4700::1111"}) {
    Result<Hop> hop = route.HopTowards(*IpAddress::Parse(text));
    if (hop.ok()) return hop->link;
  }
  return 0;
}

}  // namespace

Uplink FindUplink(RouteSocket& route, const IpAddress& node_ip) {
  Uplink uplink;
  const int link = LinkOf(route, node_ip);
  Result<std::vector<Link>> links = route.Links();
  if (!links.ok()) return uplink;
  for (const Link& candidate : *links) {
    if (candidate.index != link || candidate.mtu < kLeastMtu) continue;
    uplink.link = link;
    uplink.mtu = candidate.mtu;
  }
  return uplink;
}

}  // namespace gantry::net
