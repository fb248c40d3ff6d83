#include "net/service_device.h"

#include "net/netlink/route.h"
#include "net/sysctl.h"

namespace gantry::net {
namespace {

constexpr uint32_t kMtu = 1500;  // nothing passes through it

}  // namespace

Status EnsureServiceDevice(const InstanceNames& names, const std::vector<IpAddress>& addresses,
                           const std::vector<Cidr>& service_cidrs,
                           const std::vector<IpAddress>& node_ips) {
  GANTRY_TRY(SetNetSysctl("ipv4/ip_forward", "1"));
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  Result<Link> device = route.FindLink(names.bridge);
  if (device.code() == Code::kNotFound) {
    GANTRY_TRY(route.CreateBridge(names.bridge, names.bridge_mac, kMtu));
    device = route.FindLink(names.bridge);
  }
  GANTRY_TRY(device);
  if (!device->up) GANTRY_TRY(route.SetUp(device->index));
  for (const IpAddress& ip : addresses)
    GANTRY_TRY(route.EnsureAddress(device->index, ip, HostCidr(ip).prefix));
  for (const Cidr& services : service_cidrs) {
    Route wanted(device->index, services);
    for (const IpAddress& ip : node_ips) {
      if (ip.size == services.address.size && !wanted.source) wanted.source = ip;
    }
    GANTRY_TRY(route.EnsureRoute(wanted));
  }
  return Status::Ok();
}

}  // namespace gantry::net
