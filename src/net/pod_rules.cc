#include "net/pod_rules.h"

#include "net/protocol.h"

namespace gantry::net {
namespace {

using Side = NftRule::Side;

// Just before the services' chains (-100), so that a host port wins over a node port.
constexpr int kDestinationPriority = -101;
constexpr int kSourcePriority = 99;

// Host ports of all addresses are found by address type, those of one address by that address.
struct HostPortElements {
  std::vector<NftElement> any, by_ip;
};

HostPortElements ElementsOf(const PodRecord& pod) {
  HostPortElements elements;
  for (const HostPort& port : pod.host_ports) {
    uint8_t protocol = ProtocolNumber(port.protocol);
    if (protocol == 0 || port.host_port == 0) continue;
    NftBytes to;
    to.Ip(pod.ip).Port(port.container_port);
    std::optional<IpAddress> host_ip = IpAddress::Parse(port.host_ip);
    if (host_ip && host_ip->is_v6()) continue;
    NftBytes key;
    if (!host_ip || host_ip->v4() == 0) {
      key.Number(NftRule::kLocalAddress).Protocol(protocol).Port(port.host_port);
      elements.any.emplace_back(key, to);
    } else {
      key.Ip(*host_ip).Protocol(protocol).Port(port.host_port);
      elements.by_ip.emplace_back(key, to);
    }
  }
  return elements;
}

NftElement SelfElement(const PodRecord& pod) {
  NftBytes key;
  key.Ip(pod.ip).Ip(pod.ip);
  return key;
}

}  // namespace

PodRules::PodRules(InstanceNames names, std::vector<Cidr> cluster_cidrs)
    : names_(std::move(names)), cluster_cidrs_(std::move(cluster_cidrs)) {}

Status PodRules::Replace(const std::optional<Cidr>& pod_cidr, std::span<const PodRecord> pods) {
  const std::string& table = names_.pod_table;
  NftBatch batch;
  batch.AddTable(table);
  batch.DeleteTable(table);
  batch.AddTable(table);

  NftSet hostports;
  hostports.name = "hostports";
  hostports.key = {NftType::kAddressType, NftType::kProtocol, NftType::kPort};
  hostports.data = {NftType::kIp, NftType::kPort};
  batch.AddSet(table, hostports);
  hostports.name = "hostports-by-ip";
  hostports.key = {NftType::kIp, NftType::kProtocol, NftType::kPort};
  batch.AddSet(table, hostports);
  NftSet self;
  self.name = "self";
  self.key = {NftType::kIp, NftType::kIp};
  batch.AddSet(table, self);

  batch.AddChain(table, "hostports");
  NftRule by_ip;
  by_ip.LoadAddress(Side::kDestination, 0).LoadProtocol(1).LoadDestinationPort(2);
  by_ip.Map("hostports-by-ip", 0, 4).Dnat(4, 5);
  batch.AddRule(table, "hostports", by_ip);
  NftRule any;
  any.LoadAddressType(Side::kDestination, 0).LoadProtocol(1).LoadDestinationPort(2);
  any.Map("hostports", 0, 4).Dnat(4, 5);
  batch.AddRule(table, "hostports", any);

  for (auto [chain, hook] :
       {std::pair("prerouting", NftHook::kPrerouting), std::pair("output", NftHook::kOutput)}) {
    batch.AddNatChain(table, chain, hook, kDestinationPriority);
    NftRule jump;
    jump.Jump("hostports");
    batch.AddRule(table, chain, jump);
  }

  // Connections to 127.0.0.1 may leave by the bridge (route_localnet), but none may come in by it.
  batch.AddFilterChain(table, "guard", NftHook::kPrerouting, -300);
  NftRule guard;
  guard.InterfaceInIs("lo", false);
  guard.AddressIn(Side::kDestination, Cidr{IpAddress::V4(0x7f000000), 8}).Drop();
  batch.AddRule(table, "guard", guard);

  batch.AddNatChain(table, "postrouting", NftHook::kPostrouting, kSourcePriority);
  NftRule to_self;
  to_self.LoadAddress(Side::kSource, 0)
      .LoadAddress(Side::kDestination, 1)
      .InSet("self", 0)
      .Masquerade();
  batch.AddRule(table, "postrouting", to_self);
  NftRule loopback;
  loopback.AddressIn(Side::kSource, Cidr{IpAddress::V4(0x7f000000), 8});
  loopback.InterfaceOutIs(names_.bridge).Masquerade();
  batch.AddRule(table, "postrouting", loopback);
  if (pod_cidr) {
    NftRule leaving;
    leaving.AddressIn(Side::kSource, *pod_cidr).InterfaceOutIs(names_.bridge, false);
    for (const Cidr& inside : cluster_cidrs_)
      leaving.AddressIn(Side::kDestination, inside, false);
    leaving.Masquerade();
    batch.AddRule(table, "postrouting", leaving);
  }

  for (const PodRecord& pod : pods) {
    HostPortElements elements = ElementsOf(pod);
    batch.AddElements(table, "hostports", elements.any);
    batch.AddElements(table, "hostports-by-ip", elements.by_ip);
    batch.AddElements(table, "self", {{SelfElement(pod)}});
  }
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  return batch.Commit(socket);
}

Status PodRules::Add(const PodRecord& pod) {
  HostPortElements elements = ElementsOf(pod);
  NftBatch batch;
  batch.AddElements(names_.pod_table, "self", {{SelfElement(pod)}});
  batch.AddElements(names_.pod_table, "hostports", elements.any);
  batch.AddElements(names_.pod_table, "hostports-by-ip", elements.by_ip);
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  return batch.Commit(socket);
}

Status PodRules::Remove(const PodRecord& pod) {
  HostPortElements elements = ElementsOf(pod);
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  // One batch for each kind: one that is gone already must not keep the others.
  struct Part {
    const char* set;
    std::vector<NftElement> elements;
  };
  for (Part& part : std::vector<Part>{{"self", {SelfElement(pod)}},
                                      {"hostports", std::move(elements.any)},
                                      {"hostports-by-ip", std::move(elements.by_ip)}}) {
    if (part.elements.empty()) continue;
    NftBatch batch;
    batch.DeleteElements(names_.pod_table, part.set, part.elements);
    Status status = batch.Commit(socket);
    if (!status.ok() && status.code() != Code::kNotFound) return status;
  }
  return Status::Ok();
}

}  // namespace gantry::net
