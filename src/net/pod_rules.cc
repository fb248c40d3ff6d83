#include "net/pod_rules.h"

#include "net/protocol.h"

namespace gantry::net {
namespace {

using Side = NftRule::Side;

// Just before the services' chains (-100), so that a host port wins over a node port.
constexpr int kDestinationPriority = -101;
constexpr int kSourcePriority = 99;

// Where packets go that are for nobody else: not masqueraded, as their senders are looked for on
// the link.
const std::vector<Cidr>& LocalNetworks(NftFamily family) {
  static const auto* const v4 = new std::vector<Cidr>{*Cidr::Parse("224.0.0.0/4")};
  static const auto* const v6 =
      new std::vector<Cidr>{*Cidr::Parse("ff00::/8"), *Cidr::Parse("fe80::/10")};
  return family == NftFamily::kIp ? *v4 : *v6;
}

// Host ports of all addresses are found by address type, those of one address by that address.
struct HostPortElements {
  std::vector<NftElement> any, by_ip;
};

const IpAddress* AddressOf(const PodRecord& pod, NftFamily family) {
  for (const IpAddress& ip : pod.ips) {
    if (NftFamilyOf(ip) == family) return &ip;
  }
  return nullptr;
}

HostPortElements ElementsOf(const PodRecord& pod, const IpAddress& pod_ip) {
  HostPortElements elements;
  for (const HostPort& port : pod.host_ports) {
    uint8_t protocol = ProtocolNumber(port.protocol);
    if (protocol == 0 || port.host_port == 0) continue;
    NftBytes to;
    to.Ip(pod_ip).Port(port.container_port);
    std::optional<IpAddress> host_ip = IpAddress::Parse(port.host_ip);
    if (host_ip && NftFamilyOf(*host_ip) != NftFamilyOf(pod_ip)) continue;
    NftBytes key;
    if (!host_ip || host_ip->is_unspecified()) {
      key.Number(NftRule::kLocalAddress).Protocol(protocol).Port(port.host_port);
      elements.any.emplace_back(key, to);
    } else {
      key.Ip(*host_ip).Protocol(protocol).Port(port.host_port);
      elements.by_ip.emplace_back(key, to);
    }
  }
  return elements;
}

NftElement SelfElement(const IpAddress& pod_ip) {
  NftBytes key;
  key.Ip(pod_ip).Ip(pod_ip);
  return key;
}

}  // namespace

PodRules::PodRules(NftFamily family, InstanceNames names, std::vector<Cidr> cluster_cidrs)
    : family_(family), names_(std::move(names)) {
  for (const Cidr& cidr : cluster_cidrs) {
    if (NftFamilyOf(cidr.address) == family_) cluster_cidrs_.push_back(cidr);
  }
}

Status PodRules::Replace(std::span<const Cidr> pod_cidrs, std::span<const PodRecord> pods) {
  const std::string& table = names_.pod_table;
  NftBatch batch(family_);
  batch.AddTable(table);
  batch.DeleteTable(table);
  batch.AddTable(table);

  const NftType ip = AddressTypeOf(family_);
  const int ip_size = RegistersOf(ip);
  NftSet hostports;
  hostports.name = "hostports";
  hostports.key = {NftType::kAddressType, NftType::kProtocol, NftType::kPort};
  hostports.data = {ip, NftType::kPort};
  batch.AddSet(table, hostports);
  hostports.name = "hostports-by-ip";
  hostports.key = {ip, NftType::kProtocol, NftType::kPort};
  batch.AddSet(table, hostports);
  NftSet self;
  self.name = "self";
  self.key = {ip, ip};
  batch.AddSet(table, self);

  // Registers 0 to 5 hold keys, 8 and on what they map to.
  batch.AddChain(table, "hostports");
  NftRule by_ip(family_);
  by_ip.LoadAddress(Side::kDestination, 0).LoadProtocol(ip_size).LoadDestinationPort(ip_size + 1);
  by_ip.Map("hostports-by-ip", 0, 8).Dnat(8, 8 + ip_size);
  batch.AddRule(table, "hostports", by_ip);
  NftRule any(family_);
  any.LoadAddressType(Side::kDestination, 0).LoadProtocol(1).LoadDestinationPort(2);
  any.Map("hostports", 0, 8).Dnat(8, 8 + ip_size);
  batch.AddRule(table, "hostports", any);

  for (auto [chain, hook] :
       {std::pair("prerouting", NftHook::kPrerouting), std::pair("output", NftHook::kOutput)}) {
    batch.AddNatChain(table, chain, hook, kDestinationPriority);
    NftRule jump(family_);
    jump.Jump("hostports");
    batch.AddRule(table, chain, jump);
  }
  if (family_ == NftFamily::kIp) AddGuard(&batch);
  AddMasquerade(&batch, pod_cidrs);

  for (const PodRecord& pod : pods) {
    const IpAddress* pod_ip = AddressOf(pod, family_);
    if (pod_ip == nullptr) continue;
    HostPortElements elements = ElementsOf(pod, *pod_ip);
    batch.AddElements(table, "hostports", elements.any);
    batch.AddElements(table, "hostports-by-ip", elements.by_ip);
    batch.AddElements(table, "self", {{SelfElement(*pod_ip)}});
  }
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  return batch.Commit(socket);
}

// Connections to 127.0.0.1 may leave by the bridge (route_localnet), but none may come in by it.
void PodRules::AddGuard(NftBatch* batch) const {
  const Cidr loopback{IpAddress::V4(0x7f000000), 8};
  batch->AddFilterChain(names_.pod_table, "guard", NftHook::kPrerouting, -300);
  NftRule guard(family_);
  guard.InterfaceInIs("lo", false).AddressIn(Side::kDestination, loopback).Drop();
  batch->AddRule(names_.pod_table, "guard", guard);
}

void PodRules::AddMasquerade(NftBatch* batch, std::span<const Cidr> pod_cidrs) const {
  const std::string& table = names_.pod_table;
  batch->AddNatChain(table, "postrouting", NftHook::kPostrouting, kSourcePriority);
  NftRule to_self(family_);
  to_self.LoadAddress(Side::kSource, 0)
      .LoadAddress(Side::kDestination, RegistersOf(AddressTypeOf(family_)))
      .InSet("self", 0)
      .Masquerade();
  batch->AddRule(table, "postrouting", to_self);
  if (family_ == NftFamily::kIp) {
    NftRule loopback(family_);
    loopback.AddressIn(Side::kSource, Cidr{IpAddress::V4(0x7f000000), 8});
    loopback.InterfaceOutIs(names_.bridge).Masquerade();
    batch->AddRule(table, "postrouting", loopback);
  }
  for (const Cidr& pod_cidr : pod_cidrs) {
    if (NftFamilyOf(pod_cidr.address) != family_) continue;
    NftRule leaving(family_);
    leaving.AddressIn(Side::kSource, pod_cidr).InterfaceOutIs(names_.bridge, false);
    for (const Cidr& inside : cluster_cidrs_)
      leaving.AddressIn(Side::kDestination, inside, false);
    for (const Cidr& inside : LocalNetworks(family_))
      leaving.AddressIn(Side::kDestination, inside, false);
    leaving.Masquerade();
    batch->AddRule(table, "postrouting", leaving);
  }
}

Status PodRules::Add(const PodRecord& pod) {
  const IpAddress* pod_ip = AddressOf(pod, family_);
  if (pod_ip == nullptr) return Status::Ok();
  HostPortElements elements = ElementsOf(pod, *pod_ip);
  NftBatch batch(family_);
  batch.AddElements(names_.pod_table, "self", {{SelfElement(*pod_ip)}});
  batch.AddElements(names_.pod_table, "hostports", elements.any);
  batch.AddElements(names_.pod_table, "hostports-by-ip", elements.by_ip);
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  return batch.Commit(socket);
}

Status PodRules::Remove(const PodRecord& pod) {
  const IpAddress* pod_ip = AddressOf(pod, family_);
  if (pod_ip == nullptr) return Status::Ok();
  HostPortElements elements = ElementsOf(pod, *pod_ip);
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  // One batch for each kind: one that is gone already must not keep the others.
  struct Part {
    const char* set;
    std::vector<NftElement> elements;
  };
  for (Part& part : std::vector<Part>{{"self", {SelfElement(*pod_ip)}},
                                      {"hostports", std::move(elements.any)},
                                      {"hostports-by-ip", std::move(elements.by_ip)}}) {
    if (part.elements.empty()) continue;
    NftBatch batch(family_);
    batch.DeleteElements(names_.pod_table, part.set, part.elements);
    Status status = batch.Commit(socket);
    if (!status.ok() && status.code() != Code::kNotFound) return status;
  }
  return Status::Ok();
}

}  // namespace gantry::net
