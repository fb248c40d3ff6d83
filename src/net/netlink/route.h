#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/ip.h"
#include "net/netlink/socket.h"

namespace gantry::net {

struct Link {
  int index = 0;
  std::string name;
  int master = 0;  // index of the bridge it is a port of
  uint32_t mtu = 0;
  bool up = false;
  std::array<uint8_t, 6> mac{};
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
  Status CreateBridge(const std::string& name, const std::array<uint8_t, 6>& mac, uint32_t mtu);
  // A pair of virtual interfaces: `host_name` here, up, a port of `bridge`; `pod_name` in the
  // namespace of `netns_fd`, still down.
  Status CreateVeth(const std::string& host_name, int bridge, int netns_fd,
                    const std::string& pod_name, const std::array<uint8_t, 6>& pod_mac,
                    uint32_t mtu, bool hairpin);
  Status SetUp(int link, bool up = true);
  Status SetMtu(int link, uint32_t mtu);
  // Lets a bridge port send frames back where they came from, for a pod that reaches itself through
  // a service.
  Status SetHairpin(int port, bool on);
  Status DeleteLink(const std::string& name);

  Status EnsureAddress(int link, const IpAddress& ip, uint8_t prefix);
  Status DeleteAddress(int link, const IpAddress& ip, uint8_t prefix);
  // A route to `to` (prefix 0: default) through `gateway` (none: on the link). `source` is
  // preferred as the sender.
  Status EnsureRoute(int link, const Cidr& to, const std::optional<IpAddress>& gateway = {},
                     const std::optional<IpAddress>& source = {});
  Status DeleteRoute(int link, const Cidr& to);
  // The interface that packets to `ip` leave by, and its MTU's owner. kNotFound without a route.
  Result<int> LinkTowards(const IpAddress& ip);
  // A permanent neighbour entry.
  Status EnsureNeighbour(int link, const IpAddress& ip, const std::array<uint8_t, 6>& mac);

 private:
  explicit RouteSocket(NetlinkSocket socket) : socket_(std::move(socket)) {}
  void Start(uint16_t type, uint16_t flags);
  Status ChangeAddress(bool add, int link, const IpAddress& ip, uint8_t prefix);

  NetlinkSocket socket_;
  MessageWriter message_;
};

}  // namespace gantry::net
