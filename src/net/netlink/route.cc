#include "net/netlink/route.h"

#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace gantry::net {
namespace {

uint8_t FamilyOf(const IpAddress& ip) { return ip.is_v4() ? AF_INET : AF_INET6; }

std::string Named(const IpAddress& ip, uint8_t prefix, int link) {
  return ip.ToString() + "/" + std::to_string(prefix) + " on interface " + std::to_string(link);
}

Link ParseLink(std::span<const char> payload) {
  ifinfomsg header = ReadAs<ifinfomsg>(payload);
  Link link;
  link.index = header.ifi_index;
  link.up = (header.ifi_flags & IFF_UP) != 0;
  if (payload.size() < sizeof(header)) return link;
  ForEachAttribute(payload.subspan(sizeof(header)),
                   [&](uint16_t type, std::span<const char> value) {
                     if (type == IFLA_IFNAME && !value.empty())
                       link.name.assign(value.data(), value.size() - 1);
                     if (type == IFLA_MASTER) link.master = ReadAs<int32_t>(value);
                     if (type == IFLA_MTU) link.mtu = ReadAs<uint32_t>(value);
                     if (type == IFLA_ADDRESS) link.mac = ReadAs<MacAddress>(value);
                     if (type != IFLA_LINKINFO) return;
                     ForEachAttribute(value, [&](uint16_t part, std::span<const char> text) {
                       if (part == IFLA_INFO_KIND && !text.empty())
                         link.kind.assign(text.data(), strnlen(text.data(), text.size()));
                     });
                   });
  return link;
}

IpAddress ReadIp(std::span<const char> value) {
  IpAddress ip;
  if (value.size() != 4 && value.size() != 16) return ip;
  ip.size = static_cast<uint8_t>(value.size());
  std::copy(value.begin(), value.end(), ip.bytes.begin());
  return ip;
}

// What a tunnel device's own attributes say.
void ReadVxlan(std::span<const char> data, VxlanDevice* device) {
  ForEachAttribute(data, [&](uint16_t type, std::span<const char> value) {
    if (type == IFLA_VXLAN_ID) device->vni = ReadAs<uint32_t>(value);
    if (type == IFLA_VXLAN_PORT) device->port = ntohs(ReadAs<uint16_t>(value));
    if (type == IFLA_VXLAN_LOCAL || type == IFLA_VXLAN_LOCAL6) device->local = ReadIp(value);
  });
}

Route ReadRoute(std::span<const char> payload) {
  const rtmsg header = ReadAs<rtmsg>(payload);
  Route route;
  route.to.prefix = header.rtm_dst_len;
  route.to.address.size = header.rtm_family == AF_INET ? 4 : 16;
  route.protocol = header.rtm_protocol;
  route.onlink = (header.rtm_flags & RTNH_F_ONLINK) != 0;
  ForEachAttribute(payload.subspan(sizeof(header)),
                   [&](uint16_t type, std::span<const char> value) {
                     if (type == RTA_DST) route.to.address = ReadIp(value);
                     if (type == RTA_GATEWAY) route.gateway = ReadIp(value);
                     if (type == RTA_PREFSRC) route.source = ReadIp(value);
                     if (type == RTA_OIF) route.link = ReadAs<int32_t>(value);
                   });
  return route;
}

}  // namespace

Result<RouteSocket> RouteSocket::Open() {
  GANTRY_ASSIGN(NetlinkSocket socket, NetlinkSocket::Open(NETLINK_ROUTE));
  return RouteSocket(std::move(socket));
}

Result<RouteSocket> RouteSocket::OpenIn(const std::string& netns_path) {
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNetlinkIn(netns_path, NETLINK_ROUTE));
  return RouteSocket(std::move(socket));
}

void RouteSocket::Start(uint16_t type, uint16_t flags) {
  message_.Clear();
  message_.Begin(type, NLM_F_REQUEST | flags, socket_.NextSequence());
}

Result<Link> RouteSocket::FindLink(const std::string& name) {
  Start(RTM_GETLINK, NLM_F_ACK);
  message_.PutHeader(ifinfomsg{});
  message_.PutString(IFLA_IFNAME, name);
  Link link;
  Status status =
      socket_.Dump(message_, "look up interface " + name,
                   [&](uint16_t, std::span<const char> payload) { link = ParseLink(payload); });
  if (!status.ok()) {
    // The kernel answers ENODEV.
    if (link.index == 0 && status.message().find("No such device") != std::string::npos) {
      return Status(Code::kNotFound, "interface " + name + " does not exist");
    }
    return status;
  }
  return link;
}

Result<std::vector<Link>> RouteSocket::Links() {
  Start(RTM_GETLINK, NLM_F_DUMP);
  message_.PutHeader(ifinfomsg{});
  std::vector<Link> links;
  GANTRY_TRY(socket_.Dump(
      message_, "list interfaces",
      [&](uint16_t, std::span<const char> payload) { links.push_back(ParseLink(payload)); }));
  return links;
}

Result<std::vector<InterfaceAddress>> RouteSocket::Addresses() {
  Start(RTM_GETADDR, NLM_F_DUMP);
  message_.PutHeader(ifaddrmsg{});
  std::vector<InterfaceAddress> addresses;
  GANTRY_TRY(socket_.Dump(message_, "list addresses", [&](uint16_t, std::span<const char> payload) {
    ifaddrmsg header = ReadAs<ifaddrmsg>(payload);
    if (payload.size() < sizeof(header)) return;
    InterfaceAddress address;
    address.link = static_cast<int>(header.ifa_index);
    address.prefix = header.ifa_prefixlen;
    ForEachAttribute(payload.subspan(sizeof(header)),
                     [&](uint16_t type, std::span<const char> value) {
                       // IFA_LOCAL is the own address where IFA_ADDRESS is the peer's; IPv6 has
                       // only IFA_ADDRESS.
                       if (type == IFA_LOCAL || (type == IFA_ADDRESS && !address.ip))
                         address.ip = ReadIp(value);
                     });
    addresses.push_back(address);
  }));
  return addresses;
}

Status RouteSocket::CreateBridge(const std::string& name, const MacAddress& mac, uint32_t mtu) {
  Start(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg header{};
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  message_.PutHeader(header);
  message_.PutString(IFLA_IFNAME, name);
  message_.Put(IFLA_ADDRESS, mac);
  message_.PutU32(IFLA_MTU, mtu);
  message_.Nest(IFLA_LINKINFO, [&] { message_.PutString(IFLA_INFO_KIND, "bridge"); });
  return socket_.Call(message_, "create bridge " + name);
}

Status RouteSocket::CreateVeth(const std::string& host_name, int bridge, int netns_fd,
                               const std::string& pod_name, const MacAddress& pod_mac, uint32_t mtu,
                               bool hairpin) {
  Start(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  ifinfomsg header{};
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  message_.PutHeader(header);
  message_.PutString(IFLA_IFNAME, host_name);
  message_.PutU32(IFLA_MTU, mtu);
  message_.PutU32(IFLA_MASTER, static_cast<uint32_t>(bridge));
  message_.Nest(IFLA_LINKINFO, [&] {
    message_.PutString(IFLA_INFO_KIND, "veth");
    message_.Nest(IFLA_INFO_DATA, [&] {
      message_.Nest(VETH_INFO_PEER, [&] {
        message_.PutHeader(ifinfomsg{});
        message_.PutString(IFLA_IFNAME, pod_name);
        message_.Put(IFLA_ADDRESS, pod_mac);
        message_.PutU32(IFLA_MTU, mtu);
        message_.PutU32(IFLA_NET_NS_FD, static_cast<uint32_t>(netns_fd));
      });
    });
  });
  GANTRY_TRY(socket_.Call(message_, "create interface pair " + host_name + "/" + pod_name));
  if (!hairpin) return Status::Ok();
  GANTRY_ASSIGN(Link port, FindLink(host_name));
  return SetHairpin(port.index, true);
}

Status RouteSocket::CreateVxlan(const VxlanDevice& device) {
  Start(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  message_.PutHeader(ifinfomsg{});
  message_.PutString(IFLA_IFNAME, device.name);
  message_.Put(IFLA_ADDRESS, device.mac);
  message_.PutU32(IFLA_MTU, device.mtu);
  message_.Nest(IFLA_LINKINFO, [&] {
    message_.PutString(IFLA_INFO_KIND, "vxlan");
    message_.Nest(IFLA_INFO_DATA, [&] {
      message_.PutU32(IFLA_VXLAN_ID, device.vni);
      message_.PutBe16(IFLA_VXLAN_PORT, device.port);
      message_.PutU8(IFLA_VXLAN_LEARNING, 0);
      message_.Put(device.local.is_v4() ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, device.local.raw());
    });
  });
  return socket_.Call(message_, "create tunnel device " + device.name + " (VXLAN " +
                                    std::to_string(device.vni) + ", UDP port " +
                                    std::to_string(device.port) + ")");
}

Result<VxlanDevice> RouteSocket::FindVxlan(const std::string& name) {
  GANTRY_ASSIGN(const Link link, FindLink(name));
  if (link.kind != "vxlan") return Status(Code::kNotFound, "interface " + name + " is no tunnel");
  VxlanDevice device;
  device.name = name;
  device.mac = link.mac;
  device.mtu = link.mtu;
  Start(RTM_GETLINK, NLM_F_ACK);
  ifinfomsg header{};
  header.ifi_index = link.index;
  message_.PutHeader(header);
  GANTRY_TRY(socket_.Dump(
      message_, "look up interface " + name, [&](uint16_t, std::span<const char> payload) {
        if (payload.size() < sizeof(ifinfomsg)) return;
        ForEachAttribute(payload.subspan(sizeof(ifinfomsg)),
                         [&](uint16_t type, std::span<const char> info) {
                           if (type != IFLA_LINKINFO) return;
                           ForEachAttribute(info, [&](uint16_t part, std::span<const char> data) {
                             if (part == IFLA_INFO_DATA) ReadVxlan(data, &device);
                           });
                         });
      }));
  return device;
}

Status RouteSocket::SetUp(int link, bool up) {
  Start(RTM_NEWLINK, NLM_F_ACK);
  ifinfomsg header{};
  header.ifi_index = link;
  header.ifi_flags = up ? IFF_UP : 0;
  header.ifi_change = IFF_UP;
  message_.PutHeader(header);
  return socket_.Call(message_, "set interface " + std::to_string(link) + (up ? " up" : " down"));
}

Status RouteSocket::SetMtu(int link, uint32_t mtu) {
  Start(RTM_NEWLINK, NLM_F_ACK);
  ifinfomsg header{};
  header.ifi_index = link;
  message_.PutHeader(header);
  message_.PutU32(IFLA_MTU, mtu);
  return socket_.Call(
      message_, "set the MTU of interface " + std::to_string(link) + " to " + std::to_string(mtu));
}

Status RouteSocket::SetHairpin(int port, bool on) {
  Start(RTM_SETLINK, NLM_F_ACK);
  ifinfomsg header{};
  header.ifi_family = AF_BRIDGE;
  header.ifi_index = port;
  message_.PutHeader(header);
  message_.Nest(IFLA_PROTINFO, [&] { message_.PutU8(IFLA_BRPORT_MODE, on ? 1 : 0); });
  return socket_.Call(message_, "set hairpin mode of bridge port " + std::to_string(port));
}

Status RouteSocket::DeleteLink(const std::string& name) {
  Result<Link> link = FindLink(name);
  if (link.code() == Code::kNotFound) return Status::Ok();
  GANTRY_TRY(link);
  Start(RTM_DELLINK, NLM_F_ACK);
  ifinfomsg header{};
  header.ifi_index = link->index;
  message_.PutHeader(header);
  Status status = socket_.Call(message_, "delete interface " + name);
  // Its other end may have been deleted with a namespace meanwhile.
  if (!status.ok() && FindLink(name).code() == Code::kNotFound) return Status::Ok();
  return status;
}

Status RouteSocket::ChangeAddress(bool add, int link, const IpAddress& ip, uint8_t prefix) {
  if (add) {
    Start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  } else {
    Start(RTM_DELADDR, NLM_F_ACK);
  }
  ifaddrmsg header{};
  header.ifa_family = FamilyOf(ip);
  header.ifa_prefixlen = prefix;
  header.ifa_index = static_cast<uint32_t>(link);
  if (ip.is_v6()) header.ifa_flags = IFA_F_NODAD;
  message_.PutHeader(header);
  message_.Put(IFA_LOCAL, ip.raw());
  message_.Put(IFA_ADDRESS, ip.raw());
  return socket_.Call(message_,
                      (add ? "add address " : "remove address ") + Named(ip, prefix, link));
}

Status RouteSocket::EnsureAddress(int link, const IpAddress& ip, uint8_t prefix) {
  return ChangeAddress(true, link, ip, prefix);
}

Status RouteSocket::DeleteAddress(int link, const IpAddress& ip, uint8_t prefix) {
  GANTRY_ASSIGN(std::vector<InterfaceAddress> addresses, Addresses());
  bool there =
      std::any_of(addresses.begin(), addresses.end(), [&](const InterfaceAddress& address) {
        return address.link == link && address.ip == ip && address.prefix == prefix;
      });
  return there ? ChangeAddress(false, link, ip, prefix) : Status::Ok();
}

void RouteSocket::PutRoute(const Route& route) {
  rtmsg header{};
  header.rtm_family = FamilyOf(route.to.address);
  header.rtm_dst_len = route.to.prefix;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = route.protocol;
  header.rtm_scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  header.rtm_type = RTN_UNICAST;
  if (route.onlink) header.rtm_flags = RTNH_F_ONLINK;
  message_.PutHeader(header);
  if (route.to.prefix > 0) message_.Put(RTA_DST, route.to.address.raw());
  if (route.gateway) message_.Put(RTA_GATEWAY, route.gateway->raw());
  if (route.source) message_.Put(RTA_PREFSRC, route.source->raw());
  message_.PutU32(RTA_OIF, static_cast<uint32_t>(route.link));
}

Status RouteSocket::EnsureRoute(const Route& route) {
  Start(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  PutRoute(route);
  return socket_.Call(message_, "add route " + route.to.ToString() +
                                    (route.gateway ? " via " + route.gateway->ToString() : "") +
                                    " on interface " + std::to_string(route.link));
}

Status RouteSocket::DeleteRoute(const Route& route) {
  Start(RTM_DELROUTE, NLM_F_ACK);
  PutRoute(route);
  Status status = socket_.Call(message_, "remove route " + route.to.ToString());
  // ESRCH: there is none. ENODEV: its interface is gone, and it with that.
  if (status.message().find("No such process") != std::string::npos ||
      status.message().find("No such device") != std::string::npos) {
    return Status::Ok();
  }
  return status;
}

Result<std::vector<Route>> RouteSocket::Routes() {
  Start(RTM_GETROUTE, NLM_F_DUMP);
  message_.PutHeader(rtmsg{});
  std::vector<Route> routes;
  GANTRY_TRY(socket_.Dump(message_, "list routes", [&](uint16_t, std::span<const char> payload) {
    if (payload.size() < sizeof(rtmsg)) return;
    const rtmsg header = ReadAs<rtmsg>(payload);
    if (header.rtm_table == RT_TABLE_MAIN && header.rtm_type == RTN_UNICAST)
      routes.push_back(ReadRoute(payload));
  }));
  return routes;
}

Result<Hop> RouteSocket::HopTowards(const IpAddress& ip) {
  Start(RTM_GETROUTE, NLM_F_ACK);
  rtmsg header{};
  header.rtm_family = FamilyOf(ip);
  header.rtm_dst_len = static_cast<uint8_t>(ip.size * 8);
  message_.PutHeader(header);
  message_.Put(RTA_DST, ip.raw());
  Hop hop;
  Status status = socket_.Dump(message_, "find the route to " + ip.ToString(),
                               [&](uint16_t, std::span<const char> payload) {
                                 if (payload.size() < sizeof(rtmsg)) return;
                                 const Route route = ReadRoute(payload);
                                 hop.link = route.link;
                                 hop.gateway = route.gateway;
                               });
  if (!status.ok() || hop.link == 0) return Status(Code::kNotFound, "no route to " + ip.ToString());
  return hop;
}

Status RouteSocket::EnsureNeighbour(int link, const IpAddress& ip, const MacAddress& mac) {
  Start(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  ndmsg header{};
  header.ndm_family = FamilyOf(ip);
  header.ndm_ifindex = link;
  header.ndm_state = NUD_PERMANENT;
  message_.PutHeader(header);
  message_.Put(NDA_DST, ip.raw());
  message_.Put(NDA_LLADDR, mac);
  return socket_.Call(message_,
                      "add neighbour " + ip.ToString() + " on interface " + std::to_string(link));
}

Status RouteSocket::DeleteNeighbour(int link, const IpAddress& ip) {
  Start(RTM_DELNEIGH, NLM_F_ACK);
  ndmsg header{};
  header.ndm_family = FamilyOf(ip);
  header.ndm_ifindex = link;
  message_.PutHeader(header);
  message_.Put(NDA_DST, ip.raw());
  Status status = socket_.Call(
      message_, "remove neighbour " + ip.ToString() + " of interface " + std::to_string(link));
  return status.code() == Code::kNotFound ? Status::Ok() : status;
}

Result<std::vector<Neighbour>> RouteSocket::Neighbours(int link) {
  std::vector<Neighbour> neighbours;
  Start(RTM_GETNEIGH, NLM_F_DUMP);
  message_.PutHeader(ndmsg{});
  GANTRY_TRY(
      socket_.Dump(message_, "list neighbours", [&](uint16_t, std::span<const char> payload) {
        if (payload.size() < sizeof(ndmsg)) return;
        const ndmsg header = ReadAs<ndmsg>(payload);
        if (header.ndm_ifindex != link) return;
        Neighbour neighbour;
        neighbour.permanent = (header.ndm_state & NUD_PERMANENT) != 0;
        ForEachAttribute(payload.subspan(sizeof(ndmsg)),
                         [&](uint16_t type, std::span<const char> value) {
                           if (type == NDA_DST) neighbour.ip = ReadIp(value);
                           if (type == NDA_LLADDR) neighbour.mac = ReadAs<MacAddress>(value);
                         });
        if (neighbour.ip) neighbours.push_back(neighbour);
      }));
  return neighbours;
}

Status RouteSocket::ChangeForwarding(bool add, int link, const ForwardingEntry& entry) {
  if (add) {
    Start(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  } else {
    Start(RTM_DELNEIGH, NLM_F_ACK);
  }
  ndmsg header{};
  header.ndm_family = AF_BRIDGE;
  header.ndm_ifindex = link;
  header.ndm_state = NUD_NOARP | NUD_PERMANENT;
  header.ndm_flags = NTF_SELF;
  message_.PutHeader(header);
  message_.Put(NDA_LLADDR, entry.mac);
  message_.Put(NDA_DST, entry.to.raw());
  return socket_.Call(message_, (add ? "send to " : "no longer send to ") + entry.to.ToString() +
                                    " through interface " + std::to_string(link));
}

Status RouteSocket::EnsureForwarding(int link, const ForwardingEntry& entry) {
  return ChangeForwarding(true, link, entry);
}

Status RouteSocket::DeleteForwarding(int link, const ForwardingEntry& entry) {
  Status status = ChangeForwarding(false, link, entry);
  return status.code() == Code::kNotFound ? Status::Ok() : status;
}

Result<std::vector<ForwardingEntry>> RouteSocket::Forwarding(int link) {
  std::vector<ForwardingEntry> entries;
  Start(RTM_GETNEIGH, NLM_F_DUMP);
  ndmsg request{};
  request.ndm_family = AF_BRIDGE;
  request.ndm_ifindex = link;
  message_.PutHeader(request);
  GANTRY_TRY(socket_.Dump(message_, "list forwarding entries",
                          [&](uint16_t, std::span<const char> payload) {
                            if (payload.size() < sizeof(ndmsg)) return;
                            const ndmsg header = ReadAs<ndmsg>(payload);
                            if (header.ndm_ifindex != link) return;
                            ForwardingEntry entry;
                            ForEachAttribute(payload.subspan(sizeof(ndmsg)),
                                             [&](uint16_t type, std::span<const char> value) {
                                               if (type == NDA_DST) entry.to = ReadIp(value);
                                               if (type == NDA_LLADDR)
                                                 entry.mac = ReadAs<MacAddress>(value);
                                             });
                            if (entry.to) entries.push_back(entry);
                          }));
  return entries;
}

}  // namespace gantry::net
