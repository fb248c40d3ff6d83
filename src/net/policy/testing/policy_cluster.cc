#include "net/policy/testing/policy_cluster.h"

#include <netinet/in.h>

#include <algorithm>

#include "api/selector.h"

namespace gantry::net::testing {
namespace {

namespace core = api::core::v1;
namespace networking = api::networking::v1;

using Labels = std::map<std::string, std::string>;

constexpr const char* kApps[] = {"web", "db", "cache"};
constexpr const char* kTeams[] = {"red", "blue"};

api::LabelMap MapOf(const Labels& labels) {
  api::LabelMap map;
  for (const auto& [key, value] : labels)
    map[key] = value;
  return map;
}

bool Selects(const api::meta::v1::LabelSelector& selector, const api::LabelMap& labels) {
  return api::Selector::From(selector)->Matches(labels);
}

bool Has(const core::Pod& pod, const IpAddress& ip) {
  if (pod.spec().host_network()) return false;
  return std::any_of(pod.status().pod_ips().begin(), pod.status().pod_ips().end(),
                     [&](const auto& one) { return one.ip() == ip.ToString(); });
}

const core::Pod* PodAt(const PolicyCluster& cluster, const IpAddress& ip) {
  for (const auto& [uid, pod] : cluster.pods) {
    if (Has(pod, ip)) return &pod;
  }
  return nullptr;
}

bool IsPeer(const PolicyCluster& cluster, const std::string& ns,
            const networking::NetworkPolicyPeer& peer, const IpAddress& ip) {
  if (peer.has_ip_block()) {
    if (!Cidr::Parse(peer.ip_block().cidr())->Contains(ip)) return false;
    return std::none_of(
        peer.ip_block().except().begin(), peer.ip_block().except().end(),
        [&](const std::string& except) { return Cidr::Parse(except)->Contains(ip); });
  }
  const core::Pod* pod = PodAt(cluster, ip);
  if (pod == nullptr) return false;
  if (peer.has_namespace_selector()) {
    auto found = cluster.namespaces.find(pod->metadata().namespace_());
    if (found == cluster.namespaces.end() ||
        !Selects(peer.namespace_selector(), MapOf(found->second))) {
      return false;
    }
  } else if (pod->metadata().namespace_() != ns) {
    return false;
  }
  return !peer.has_pod_selector() || Selects(peer.pod_selector(), pod->metadata().labels());
}

const char* ProtocolName(uint8_t protocol) {
  if (protocol == IPPROTO_UDP) return "UDP";
  return protocol == IPPROTO_SCTP ? "SCTP" : "TCP";
}

bool IsPort(const PolicyCluster& cluster, const networking::NetworkPolicyPort& port,
            const Flow& flow) {
  const std::string protocol = port.has_protocol() ? port.protocol() : "TCP";
  if (protocol != ProtocolName(flow.protocol)) return false;
  if (!port.has_port()) return true;
  if (port.port().type() == 0) {
    const int last = port.has_end_port() ? port.end_port() : port.port().int_val();
    return port.port().int_val() <= flow.port && flow.port <= last;
  }
  const core::Pod* server = PodAt(cluster, flow.server);
  if (server == nullptr) return false;
  for (const auto& container : server->spec().containers()) {
    for (const auto& named : container.ports()) {
      if (named.name() == port.port().str_val() && named.container_port() == flow.port &&
          (named.protocol().empty() ? "TCP" : named.protocol()) == protocol) {
        return true;
      }
    }
  }
  return false;
}

template <class Rules, class Peers>
bool AnyRuleAllows(const PolicyCluster& cluster, const std::string& ns, const Rules& rules,
                   Peers peers_of, const IpAddress& peer_ip, const Flow& flow) {
  return std::any_of(rules.begin(), rules.end(), [&](const auto& rule) {
    const auto& peers = peers_of(rule);
    const bool peer = peers.empty() || std::any_of(peers.begin(), peers.end(), [&](const auto& p) {
                        return IsPeer(cluster, ns, p, peer_ip);
                      });
    const bool port = rule.ports().empty() ||
                      std::any_of(rule.ports().begin(), rule.ports().end(),
                                  [&](const auto& p) { return IsPort(cluster, p, flow); });
    return peer && port;
  });
}

bool SideAllows(const PolicyCluster& cluster, const Flow& flow, bool ingress) {
  const core::Pod* pod = PodAt(cluster, ingress ? flow.server : flow.client);
  if (pod == nullptr) return true;
  bool isolated = false;
  for (const auto& [key, policy] : cluster.policies) {
    if (key.first != pod->metadata().namespace_()) continue;
    const auto& types = policy.spec().policy_types();
    if (std::find(types.begin(), types.end(), ingress ? "Ingress" : "Egress") == types.end())
      continue;
    if (!Selects(policy.spec().pod_selector(), pod->metadata().labels())) continue;
    isolated = true;
    const bool allowed =
        ingress
            ? AnyRuleAllows(
                  cluster, key.first, policy.spec().ingress(),
                  [](const auto& rule) -> const auto& { return rule.from(); }, flow.client, flow)
            : AnyRuleAllows(
                  cluster, key.first, policy.spec().egress(),
                  [](const auto& rule) -> const auto& { return rule.to(); }, flow.server, flow);
    if (allowed) return true;
  }
  return !isolated;
}

bool Contains(const PolicySet& set, const IpAddress& ip, const Flow& flow) {
  return std::any_of(set.elements.begin(), set.elements.end(), [&](const PolicyElement& element) {
    switch (set.kind) {
      case PolicySet::Kind::kAddresses:
        return element.ip == ip;
      case PolicySet::Kind::kAddressRanges:
        return element.ip.size == ip.size && element.ip <= ip && ip <= element.last;
      case PolicySet::Kind::kPorts:
        return element.protocol == flow.protocol && element.port == flow.port;
      case PolicySet::Kind::kPodPorts:
        return element.ip == flow.server && element.protocol == flow.protocol &&
               element.port == flow.port;
    }
    return false;
  });
}

bool Matches(const Ruleset& ruleset, const PolicyMatch& match, const IpAddress& peer,
             const Flow& flow) {
  if (peer.is_v4() ? !match.v4 : !match.v6) return false;
  if (!match.peers.empty() && !Contains(ruleset.sets.at(match.peers), peer, flow)) return false;
  if (!match.ports.empty()) return Contains(ruleset.sets.at(match.ports), peer, flow);
  return !match.range || (match.range->protocol == flow.protocol &&
                          match.range->first <= flow.port && flow.port <= match.range->last);
}

}  // namespace

std::string Flow::ToString() const {
  return client.ToString() + " -> " + server.ToString() + " " + ProtocolName(protocol) + " " +
         std::to_string(port);
}

bool PolicyCluster::Allows(const Flow& flow) const {
  if (flow.client == flow.server) return true;
  return SideAllows(*this, flow, true) && SideAllows(*this, flow, false);
}

void PolicyCluster::PutNamespace(const std::string& name, PolicyIndex* index) const {
  auto found = namespaces.find(name);
  if (found == namespaces.end()) {
    index->RemoveNamespace(name);
  } else {
    index->SetNamespace(name, MapOf(found->second));
  }
}

void PolicyCluster::PutPod(const std::string& uid, PolicyIndex* index) const {
  auto found = pods.find(uid);
  if (found == pods.end()) {
    index->RemovePod(uid);
    return;
  }
  PolicyPod pod;
  pod.object = api::Ref<core::Pod>::Of(found->second);
  for (const auto& one : found->second.status().pod_ips())
    pod.addresses.push_back(*IpAddress::Parse(one.ip()));
  pod.here = true;
  index->SetPod(uid, std::move(pod));
}

void PolicyCluster::PutPolicy(const PolicyKey& key, PolicyIndex* index) const {
  auto found = policies.find(key);
  if (found == policies.end()) {
    index->RemovePolicy(key);
  } else {
    index->SetPolicy(Policy::From(found->second));
  }
}

core::Pod PolicyCluster::MakePod(const std::string& ns, const std::string& name,
                                 const Labels& labels, const std::vector<std::string>& addresses) {
  core::Pod pod;
  pod.mutable_metadata()->set_namespace_(ns);
  pod.mutable_metadata()->set_name(name);
  pod.mutable_metadata()->set_uid(name);
  *pod.mutable_metadata()->mutable_labels() = MapOf(labels);
  for (const std::string& address : addresses)
    pod.mutable_status()->add_pod_ips()->set_ip(address);
  return pod;
}

bool Passes(const Ruleset& ruleset, const Flow& flow) {
  for (PolicyDirection direction : kPolicyDirections) {
    const bool ingress = direction == PolicyDirection::kIngress;
    const auto& pods = ruleset.Pods(direction);
    auto pod = pods.find(ingress ? flow.server : flow.client);
    if (pod == pods.end() || flow.client == flow.server) continue;
    const IpAddress& peer = ingress ? flow.client : flow.server;
    const auto& chains = ruleset.pod_chains.at(pod->second);
    const bool accepted = std::any_of(chains.begin(), chains.end(), [&](const std::string& chain) {
      const auto& matches = ruleset.policy_chains.at(chain);
      return std::any_of(matches.begin(), matches.end(), [&](const PolicyMatch& match) {
        return Matches(ruleset, match, peer, flow);
      });
    });
    if (!accepted) return false;
  }
  return true;
}

void ApplyTo(const RulesetChange& change, const Ruleset& after, Ruleset* ruleset) {
  for (const std::string& set : change.gone_sets)
    ruleset->sets.erase(set);
  for (const std::string& set : change.new_sets)
    ruleset->sets[set].kind = after.sets.at(set).kind;
  for (const auto& [set, elements] : change.elements) {
    for (const PolicyElement& element : elements.removed)
      ruleset->sets.at(set).elements.erase(element);
    for (const PolicyElement& element : elements.added)
      ruleset->sets.at(set).elements.insert(element);
  }
  auto take = [](const auto& names, const auto& from, auto* into) {
    for (const auto& name : names) {
      auto found = from.find(name);
      if (found == from.end()) {
        into->erase(name);
      } else {
        (*into)[name] = found->second;
      }
    }
  };
  take(change.policy_chains, after.policy_chains, &ruleset->policy_chains);
  take(change.pod_chains, after.pod_chains, &ruleset->pod_chains);
  for (const auto& [direction, ip] : change.pods)
    take(std::vector<IpAddress>{ip}, after.Pods(direction), &ruleset->Pods(direction));
}

Labels RandomPolicies::Labels() { return {{"app", kApps[Below(3)]}, {"team", kTeams[Below(2)]}}; }

void RandomPolicies::Select(const char* const* values, size_t count, const char* key,
                            api::meta::v1::LabelSelector* selector) {
  const char* value = values[Below(static_cast<uint32_t>(count))];
  switch (Below(5)) {
    case 0:
      break;  // everything
    case 1: {
      auto* expression = selector->add_match_expressions();
      expression->set_key(key);
      expression->set_operator_(Chance(50) ? "In" : "NotIn");
      expression->add_values(value);
      break;
    }
    case 2: {
      auto* expression = selector->add_match_expressions();
      expression->set_key(key);
      expression->set_operator_(Chance(80) ? "Exists" : "DoesNotExist");
      break;
    }
    default:
      (*selector->mutable_match_labels())[key] = value;
  }
}

void RandomPolicies::Peer(const PolicyCluster& cluster, networking::NetworkPolicyPeer* peer) {
  if (Chance(30) && !cluster.pods.empty()) {
    // A block around a pod, perhaps with a hole where another one is.
    auto pick = [&](bool v4) -> std::string {
      auto pod = std::next(cluster.pods.begin(), Below(static_cast<uint32_t>(cluster.pods.size())));
      for (const auto& one : pod->second.status().pod_ips()) {
        if ((one.ip().find(':') == std::string::npos) == v4) return one.ip();
      }
      return "";
    };
    const bool v4 = Chance(60);
    const std::string around = pick(v4), hole = pick(v4);
    if (!around.empty() && !hole.empty()) {
      const unsigned bits = v4 ? 32 : 128;
      const unsigned prefix = Chance(20) ? 0 : bits - Below(5);
      const Cidr block = *Cidr::Parse(around + "/" + std::to_string(prefix));
      peer->mutable_ip_block()->set_cidr(block.ToString());
      if (prefix < bits && Chance(50)) {
        const Cidr except = *Cidr::Parse(hole + "/" + std::to_string(bits - Below(2)));
        if (block.Contains(except.address) && except.prefix > prefix)
          peer->mutable_ip_block()->add_except(except.ToString());
      }
      return;
    }
  }
  const bool namespaces = Chance(50);
  if (namespaces) Select(kTeams, 2, "team", peer->mutable_namespace_selector());
  if (!namespaces || Chance(60)) Select(kApps, 3, "app", peer->mutable_pod_selector());
}

void RandomPolicies::Port(networking::NetworkPolicyPort* port) {
  port->set_protocol(Chance(60) ? "TCP" : "UDP");
  if (Chance(15)) return;
  const uint16_t number = ports_[Below(static_cast<uint32_t>(ports_.size()))];
  if (Chance(30)) {
    port->mutable_port()->set_type(1);
    port->mutable_port()->set_str_val(Chance(50) ? "one" : "two");
    return;
  }
  port->mutable_port()->set_type(0);
  port->mutable_port()->set_int_val(number);
  if (Chance(30)) port->set_end_port(number + static_cast<int>(Below(3)));
}

networking::NetworkPolicy RandomPolicies::Policy(const PolicyCluster& cluster,
                                                 const PolicyKey& key) {
  networking::NetworkPolicy policy;
  policy.mutable_metadata()->set_namespace_(key.first);
  policy.mutable_metadata()->set_name(key.second);
  auto* spec = policy.mutable_spec();
  Select(kApps, 3, "app", spec->mutable_pod_selector());
  auto rule = [&](auto* made, auto* (std::decay_t<decltype(*made)>::*add_peer)()) {
    for (uint32_t i = Below(3); i > 0; --i)
      Peer(cluster, (made->*add_peer)());
    for (uint32_t i = Below(4); i > 0; --i)
      Port(made->add_ports());
  };
  if (Chance(70)) {
    spec->add_policy_types("Ingress");
    for (uint32_t i = Below(3); i > 0; --i)
      rule(spec->add_ingress(), &networking::NetworkPolicyIngressRule::add_from);
  }
  if (Chance(60)) {
    spec->add_policy_types("Egress");
    for (uint32_t i = Below(3); i > 0; --i)
      rule(spec->add_egress(), &networking::NetworkPolicyEgressRule::add_to);
  }
  if (spec->policy_types().empty()) spec->add_policy_types("Ingress");
  return policy;
}

}  // namespace gantry::net::testing
