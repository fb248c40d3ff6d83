#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/ip.h"
#include "net/netlink/socket.h"

namespace gantry::net {

using MacAddress = std::array<uint8_t, 6>;

struct Link {
  int index = 0;
  std::string name;
  std::string kind;  // "bridge", "veth", "vxlan"; "" for hardware
  int master = 0;    // index of the bridge it is a port of
  uint32_t mtu = 0;
  bool up = false;
  MacAddress mac{};
};

// A tunnel device whose peers are entered by hand: nothing is learned from what comes in.
struct VxlanDevice {
  std::string name;
  MacAddress mac{};
  uint32_t vni = 0;
  uint16_t port = 0;
  IpAddress local;  // outer packets come from it; its family is that of the underlay
  uint32_t mtu = 0;

  bool operator==(const VxlanDevice&) const = default;
};

// A unicast route of the main table.
struct Route {
  Route() = default;
  Route(int link, const Cidr& to, std::optional<IpAddress> gateway = {},
        std::optional<IpAddress> source = {})
      : link(link), to(to), gateway(std::move(gateway)), source(std::move(source)) {}

  int link = 0;
  Cidr to;                           // prefix 0: default
  std::optional<IpAddress> gateway;  // none: on the link
  std::optional<IpAddress> source;   // preferred as the sender
  bool onlink = false;               // the gateway is on the link, whatever addresses that has
  uint8_t protocol = 4;              // who made it: RTPROT_STATIC
};

// Where packets to an address go next.
struct Hop {
  int link = 0;
  std::optional<IpAddress> gateway;  // none: it is on the link itself
};

struct Neighbour {
  IpAddress ip;
  MacAddress mac{};
  bool permanent = false;
};

// Where a tunnel device sends frames for a hardware address.
struct ForwardingEntry {
  MacAddress mac{};
  IpAddress to;
  auto operator<=>(const ForwardingEntry&) const = default;
};

struct InterfaceAddress {
  int link = 0;
  IpAddress ip;
  uint8_t prefix = 0;
};

// The interfaces, addresses and routes of one network namespace, over rtnetlink. All "Ensure" and
// "Delete" calls are idempotent. Errors name the operation and its operands. Threading: one call at
// a time; calls block for microseconds.
class RouteSocket {
 public:
  static Result<RouteSocket> Open();
  static Result<RouteSocket> OpenIn(const std::string& netns_path);

  Result<Link> FindLink(const std::string& name);  // kNotFound
  Result<std::vector<Link>> Links();
  Result<std::vector<InterfaceAddress>> Addresses();

  // A bridge without spanning tree. `mac` stays as it is when ports come and go.
  Status CreateBridge(const std::string& name, const MacAddress& mac, uint32_t mtu);
  // A pair of virtual interfaces: `host_name` here, up, a port of `bridge`; `pod_name` in the
  // namespace of `netns_fd`, still down.
  Status CreateVeth(const std::string& host_name, int bridge, int netns_fd,
                    const std::string& pod_name, const MacAddress& pod_mac, uint32_t mtu,
                    bool hairpin = true);
  // Still down. kAlreadyExists also when another device of this namespace
  // has the same port and network identifier.
  Status CreateVxlan(const VxlanDevice& device);
  // kNotFound where there is none of that name, or it is of another kind.
  Result<VxlanDevice> FindVxlan(const std::string& name);
  Status SetUp(int link, bool up = true);
  Status SetMtu(int link, uint32_t mtu);
  // Lets a bridge port send frames back where they came from, for a pod that reaches itself through
  // a service: where the bridge passes frames through the rules of IP (br_netfilter), such a frame
  // does not leave the bridge. (For the same reason ports cannot be isolated from each other.)
  Status SetHairpin(int port, bool on);
  Status DeleteLink(const std::string& name);

  Status EnsureAddress(int link, const IpAddress& ip, uint8_t prefix);
  Status DeleteAddress(int link, const IpAddress& ip, uint8_t prefix);
  // Replaces another route to the same network.
  Status EnsureRoute(const Route& route);
  Status DeleteRoute(const Route& route);
  Result<std::vector<Route>> Routes();
  // kNotFound without a route.
  Result<Hop> HopTowards(const IpAddress& ip);
  // A permanent neighbour entry.
  Status EnsureNeighbour(int link, const IpAddress& ip, const MacAddress& mac);
  Status DeleteNeighbour(int link, const IpAddress& ip);
  Result<std::vector<Neighbour>> Neighbours(int link);

  // Permanent entries of a tunnel device.
  Status EnsureForwarding(int link, const ForwardingEntry& entry);
  Status DeleteForwarding(int link, const ForwardingEntry& entry);
  Result<std::vector<ForwardingEntry>> Forwarding(int link);

 private:
  explicit RouteSocket(NetlinkSocket socket) : socket_(std::move(socket)) {}
  void Start(uint16_t type, uint16_t flags);
  Status ChangeAddress(bool add, int link, const IpAddress& ip, uint8_t prefix);
  void PutRoute(const Route& route);
  Status ChangeForwarding(bool add, int link, const ForwardingEntry& entry);

  NetlinkSocket socket_;
  MessageWriter message_;
};

}  // namespace gantry::net
