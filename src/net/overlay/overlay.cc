#include "net/overlay/overlay.h"

#include <algorithm>
#include <fstream>

#include "base/log.h"
#include "net/sysctl.h"

namespace gantry::net {
namespace {

// Marks routes as this program's; see ip-route(8), "proto".
constexpr uint8_t kRouteProtocol = 103;

bool SameRoute(const Route& a, const Route& b) {
  return a.link == b.link && a.gateway == b.gateway && a.onlink == b.onlink &&
         (!a.source || !b.source || a.source == b.source);
}

// Remembers the first failure of a row of steps that go on without each other.
void Note(Status status, Status* first) {
  if (status.ok()) return;
  if (first->ok()) *first = std::move(status);
}

std::set<Cidr> ReadRoutesFile(const std::string& path) {
  std::set<Cidr> networks;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    Result<Cidr> cidr = Cidr::Parse(line);
    if (cidr.ok()) networks.insert(*cidr);
  }
  return networks;
}

// Written before the routes are made, so that none is ever there without being on record.
void WriteRoutesFile(const std::string& path, const std::set<Cidr>& networks) {
  if (ReadRoutesFile(path) == networks) return;
  const std::string next = path + ".new";
  {
    std::ofstream file(next, std::ios::trunc);
    for (const Cidr& cidr : networks)
      file << cidr.ToString() << "\n";
  }
  std::rename(next.c_str(), path.c_str());
}

std::optional<IpAddress> OwnAddressLike(const IpAddress& like, const std::vector<Cidr>& own) {
  for (const Cidr& cidr : own) {
    if (cidr.address.size == like.size) return cidr.At(1);
  }
  return std::nullopt;
}

// Brings `have` to `want`: removes what is not wanted, adds or replaces what differs.
template <class Key, class Value, class Same, class Add, class Remove>
void Change(const std::map<Key, Value>& want, std::map<Key, Value>* have, Same same, Add add,
            Remove remove, Status* failed) {
  for (auto it = have->begin(); it != have->end();) {
    if (want.contains(it->first)) {
      ++it;
      continue;
    }
    Status status = remove(it->first, it->second);
    it = status.ok() ? have->erase(it) : std::next(it);
    Note(std::move(status), failed);
  }
  for (const auto& [key, value] : want) {
    auto found = have->find(key);
    if (found != have->end() && same(found->second, value)) continue;
    Status status = add(key, value);
    if (status.ok()) (*have)[key] = value;
    Note(std::move(status), failed);
  }
}

}  // namespace

Overlay::Overlay(Options options) : options_(std::move(options)) {}

Status Overlay::Apply(const OverlayPlan& plan, const std::vector<Cidr>& own_cidrs, uint32_t mtu) {
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  Status status = ApplyNow(route, plan, own_cidrs, mtu);
  if (!status.ok()) installed_.reset();
  return status;
}

Status Overlay::ApplyNow(RouteSocket& route, const OverlayPlan& plan,
                         const std::vector<Cidr>& own_cidrs, uint32_t mtu) {
  if (tunnels()) {
    // A node alone needs no device.
    if (plan.routes.empty() && route.FindLink(options_.names.overlay).code() == Code::kNotFound)
      return Status::Ok();
    GANTRY_TRY(EnsureDevice(route, own_cidrs, mtu));
  } else {
    GANTRY_TRY(route.DeleteLink(options_.names.overlay));
  }
  if (!installed_) GANTRY_TRY(ReadInstalled(route));
  Installed& have = *installed_;
  Status failed;
  GANTRY_ASSIGN(const auto routes, WantedRoutes(route, plan, own_cidrs, &failed));

  std::set<Cidr> recorded;
  for (const auto& [cidr, unused] : have.routes)
    if (!tunnels()) recorded.insert(cidr);
  for (const auto& [cidr, unused] : routes)
    if (!tunnels()) recorded.insert(cidr);
  WriteRoutesFile(options_.routes_file, recorded);

  // Where a frame goes is known before there is a route that makes frames, and after.
  auto same = [](const auto& a, const auto& b) { return a == b; };
  const std::map<IpAddress, MacAddress> no_neighbours;
  const std::map<MacAddress, IpAddress> no_forwarding;
  auto add_forwarding = [&](const MacAddress& mac, const IpAddress& to) {
    return route.EnsureForwarding(have.link, {mac, to});
  };
  auto add_neighbour = [&](const IpAddress& ip, const MacAddress& mac) {
    return route.EnsureNeighbour(have.link, ip, mac);
  };
  auto keep = [](const auto&, const auto&) { return Status(Code::kConflict, "kept for now"); };
  Status ignored;
  Change(plan.forwarding, &have.forwarding, same, add_forwarding, keep, &ignored);
  Change(plan.neighbours, &have.neighbours, same, add_neighbour, keep, &ignored);
  Change(
      routes, &have.routes, SameRoute,
      [&](const Cidr& cidr, const Route& wanted) -> Status {
        // Of IPv6, a route on another interface would keep the gateway from being on this one.
        auto there = have.routes.find(cidr);
        if (there != have.routes.end() && there->second.link != wanted.link)
          GANTRY_TRY(route.DeleteRoute(there->second));
        return route.EnsureRoute(wanted);
      },
      [&](const Cidr&, const Route& there) { return route.DeleteRoute(there); }, &failed);
  Change(
      plan.neighbours, &have.neighbours, same, add_neighbour,
      [&](const IpAddress& ip, const MacAddress&) { return route.DeleteNeighbour(have.link, ip); },
      &failed);
  Change(
      plan.forwarding, &have.forwarding, same, add_forwarding,
      [&](const MacAddress& mac, const IpAddress& to) {
        return route.DeleteForwarding(have.link, {mac, to});
      },
      &failed);
  return failed;
}

Status Overlay::EnsureDevice(RouteSocket& route, const std::vector<Cidr>& own_cidrs, uint32_t mtu) {
  VxlanDevice wanted;
  wanted.name = options_.names.overlay;
  wanted.mac = MacOfNode(options_.node_name);
  wanted.vni = options_.settings.vni;
  wanted.port = options_.settings.port;
  wanted.local = options_.underlay;
  wanted.mtu = mtu;
  Result<VxlanDevice> there = route.FindVxlan(wanted.name);
  if (there.ok()) {
    const uint32_t its_mtu = there->mtu;
    there->mtu = mtu;
    if (*there != wanted) {
      GANTRY_TRY(route.DeleteLink(wanted.name));
      there = Status(Code::kNotFound, "replaced");
    } else if (its_mtu != mtu) {
      GANTRY_ASSIGN(const Link link, route.FindLink(wanted.name));
      GANTRY_TRY(route.SetMtu(link.index, mtu));
    }
  }
  if (!there.ok()) {
    installed_.reset();
    GANTRY_TRY(route.DeleteLink(wanted.name));
    Status created = route.CreateVxlan(wanted);
    if (created.code() == Code::kAlreadyExists) {
      return Status(created.code(),
                    "another network on this machine has VXLAN " + std::to_string(wanted.vni) +
                        " on UDP port " + std::to_string(wanted.port) +
                        "; choose another number with --vxlan-vni or port with --vxlan-port, on "
                        "all nodes");
    }
    GANTRY_TRY(created);
    // Its addresses are ours to give: no link-local one, and no questions about routers.
    Status quiet = SetNetSysctl("ipv6/conf/" + wanted.name + "/addr_gen_mode", "1");
    if (!quiet.ok() && quiet.code() != Code::kNotFound) return quiet;  // a kernel without IPv6
  }
  GANTRY_ASSIGN(const Link link, route.FindLink(wanted.name));
  if (!link.up) GANTRY_TRY(route.SetUp(link.index));
  if (installed_ && installed_->link != link.index) installed_.reset();
  const std::string& name = wanted.name;
  for (const Cidr& cidr : own_cidrs) {
    // What is masqueraded on its way to another node's pod comes from this address, and so the
    // answer comes back this way.
    const IpAddress own = cidr.At(1);
    GANTRY_TRY(route.EnsureAddress(link.index, own, HostCidr(own).prefix));
    if (own.is_v4()) {
      GANTRY_TRY(SetNetSysctl("ipv4/conf/" + name + "/send_redirects", "0"));
      // A node may answer by another way than it was asked.
      GANTRY_TRY(SetNetSysctl("ipv4/conf/" + name + "/rp_filter", "2"));
    } else {
      GANTRY_TRY(SetNetSysctl("ipv6/conf/" + name + "/accept_ra", "0"));
    }
  }
  return Status::Ok();
}

Status Overlay::ReadInstalled(RouteSocket& route) {
  Installed have;
  if (tunnels()) {
    GANTRY_ASSIGN(const Link link, route.FindLink(options_.names.overlay));
    have.link = link.index;
    GANTRY_ASSIGN(const std::vector<Neighbour> neighbours, route.Neighbours(link.index));
    for (const Neighbour& neighbour : neighbours)
      if (neighbour.permanent) have.neighbours[neighbour.ip] = neighbour.mac;
    GANTRY_ASSIGN(const std::vector<ForwardingEntry> entries, route.Forwarding(link.index));
    for (const ForwardingEntry& entry : entries)
      have.forwarding[entry.mac] = entry.to;
  }
  const std::set<Cidr> recorded = ReadRoutesFile(options_.routes_file);
  GANTRY_ASSIGN(const std::vector<Route> routes, route.Routes());
  for (const Route& there : routes) {
    if (there.protocol != kRouteProtocol) continue;
    if ((tunnels() && there.link == have.link) || recorded.contains(there.to))
      have.routes.emplace(there.to, there);
  }
  installed_ = std::move(have);
  return Status::Ok();
}

Result<std::map<Cidr, Route>> Overlay::WantedRoutes(RouteSocket& route, const OverlayPlan& plan,
                                                    const std::vector<Cidr>& own_cidrs,
                                                    Status* failed) {
  std::map<Cidr, Route> routes;
  for (const auto& [cidr, gateway] : plan.routes) {
    Route wanted(installed_->link, cidr, gateway);
    wanted.protocol = kRouteProtocol;
    if (tunnels()) {
      wanted.onlink = true;
      wanted.source = OwnAddressLike(cidr.address, own_cidrs);
    } else {
      Result<Hop> hop = route.HopTowards(gateway);
      if (!hop.ok() || hop->gateway) {
        Note(Status(Code::kInvalid, "the pods in " + cidr.ToString() +
                                        " cannot be reached: their node " + gateway.ToString() +
                                        " is on none of this machine's networks, as host-routes "
                                        "needs it; use --overlay vxlan"),
             failed);
        continue;
      }
      wanted.link = hop->link;
    }
    routes.emplace(cidr, std::move(wanted));
  }
  return routes;
}

std::string Overlay::RoutesFile(const std::string& data_dir) { return data_dir + "/net/routes"; }

Status Overlay::CleanUp(const std::string& data_dir) {
  GANTRY_ASSIGN(RouteSocket route, RouteSocket::Open());
  Status first = route.DeleteLink(InstanceNames::ForDataDir(data_dir).overlay);
  const std::set<Cidr> recorded = ReadRoutesFile(RoutesFile(data_dir));
  if (recorded.empty()) return first;
  GANTRY_ASSIGN(const std::vector<Route> routes, route.Routes());
  for (const Route& there : routes) {
    if (there.protocol == kRouteProtocol && recorded.contains(there.to))
      Note(route.DeleteRoute(there), &first);
  }
  return first;
}

}  // namespace gantry::net
