#include "net/policy/policy.h"

#include <algorithm>

#include "api/networking/v1/network_policy.pb.h"
#include "net/protocol.h"

namespace gantry::net {
namespace {

namespace networking = api::networking::v1;

constexpr uint16_t kLastPort = 65535;

api::Selector SelectorOf(const api::meta::v1::LabelSelector& object) {
  Result<api::Selector> selector = api::Selector::From(object);
  return selector.ok() ? std::move(selector).value() : api::Selector::Nothing();
}

std::vector<AddressRange> RangesOf(const networking::IPBlock& block) {
  Result<Cidr> cidr = Cidr::Parse(block.cidr());
  if (!cidr.ok()) return {};
  std::vector<AddressRange> holes;
  for (const std::string& text : block.except()) {
    Result<Cidr> except = Cidr::Parse(text);
    if (!except.ok()) return {};
    holes.push_back(AddressRange::Of(*except));
  }
  return Subtract(AddressRange::Of(*cidr), std::move(holes));
}

template <class Peers>
void AddPeers(const Peers& peers, const std::string& ns, PolicyRule* rule) {
  rule->any_peer = peers.empty();
  for (const networking::NetworkPolicyPeer& peer : peers) {
    if (peer.has_ip_block()) {
      const std::vector<AddressRange> ranges = RangesOf(peer.ip_block());
      rule->ranges.insert(rule->ranges.end(), ranges.begin(), ranges.end());
      continue;
    }
    PeerSelector selector;
    if (peer.has_namespace_selector()) {
      selector.namespaces = SelectorOf(peer.namespace_selector());
    } else {
      selector.ns = ns;
    }
    if (peer.has_pod_selector()) selector.pods = SelectorOf(peer.pod_selector());
    rule->selectors.push_back(std::move(selector));
  }
  rule->ranges = Merge(std::move(rule->ranges));
}

std::vector<PortRange> MergePorts(std::vector<PortRange> ports) {
  std::sort(ports.begin(), ports.end());
  std::vector<PortRange> merged;
  for (const PortRange& port : ports) {
    if (!merged.empty() && merged.back().protocol == port.protocol &&
        port.first <= merged.back().last + 1) {
      merged.back().last = std::max(merged.back().last, port.last);
    } else {
      merged.push_back(port);
    }
  }
  return merged;
}

template <class Ports>
void AddPorts(const Ports& ports, PolicyRule* rule) {
  rule->any_port = ports.empty();
  for (const networking::NetworkPolicyPort& port : ports) {
    const uint8_t protocol = ProtocolNumber(port.protocol());
    if (protocol == 0) continue;
    if (!port.has_port()) {
      rule->ports.push_back({protocol, 0, kLastPort});
    } else if (port.port().type() != 0) {
      rule->port_names.push_back({protocol, port.port().str_val()});
    } else {
      const auto first = static_cast<uint16_t>(port.port().int_val());
      rule->ports.push_back(
          {protocol, first, port.has_end_port() ? static_cast<uint16_t>(port.end_port()) : first});
    }
  }
  rule->ports = MergePorts(std::move(rule->ports));
}

}  // namespace

std::string PeerSelector::ToString() const {
  const std::string where =
      namespaces ? "namespaces(" + namespaces->ToString() + (namespaces->nothing() ? "!" : "") + ")"
                 : ns;
  return where + "/" + pods.ToString() + (pods.nothing() ? "!" : "");
}

Policy Policy::From(const networking::NetworkPolicy& object) {
  Policy policy;
  policy.key = {object.metadata().namespace_(), object.metadata().name()};
  const networking::NetworkPolicySpec& spec = object.spec();
  policy.pods = SelectorOf(spec.pod_selector());
  // The API server fills the types in; an object without them came by another way.
  bool ingress = spec.policy_types().empty();
  bool egress = spec.policy_types().empty() && !spec.egress().empty();
  for (const std::string& type : spec.policy_types()) {
    ingress |= type == "Ingress";
    egress |= type == "Egress";
  }
  if (ingress) {
    policy.ingress.emplace();
    for (const auto& from : spec.ingress()) {
      PolicyRule& rule = policy.ingress->emplace_back();
      AddPeers(from.from(), policy.key.first, &rule);
      AddPorts(from.ports(), &rule);
    }
  }
  if (egress) {
    policy.egress.emplace();
    for (const auto& to : spec.egress()) {
      PolicyRule& rule = policy.egress->emplace_back();
      AddPeers(to.to(), policy.key.first, &rule);
      AddPorts(to.ports(), &rule);
    }
  }
  return policy;
}

}  // namespace gantry::net
