#include "net/policy/policy_rules.h"

#include <algorithm>
#include <vector>

namespace gantry::net {
namespace {

using Connection = NftRule::Connection;
using Side = NftRule::Side;

constexpr int kEgressPriority = 0;
constexpr int kIngressPriority = 1;

const char* MapName(PolicyDirection direction) {
  return direction == PolicyDirection::kIngress ? "ingress" : "egress";
}

Connection PodOf(PolicyDirection direction) {
  return direction == PolicyDirection::kIngress ? Connection::kServer : Connection::kClient;
}

Connection PeerOf(PolicyDirection direction) {
  return direction == PolicyDirection::kIngress ? Connection::kClient : Connection::kServer;
}

bool HasPodsOf(const Ruleset& ruleset, NftFamily family) {
  for (PolicyDirection direction : kPolicyDirections) {
    for (const auto& [ip, chain] : ruleset.Pods(direction)) {
      if (NftFamilyOf(ip) == family) return true;
    }
  }
  return false;
}

NftElement SelfElement(const IpAddress& ip) {
  NftBytes key;
  key.Ip(ip).Ip(ip);
  return key;
}

}  // namespace

// One batch for one table.
class PolicyRules::Writer {
 public:
  Writer(const std::string& name, Table& table)
      : name_(name), table_(table), batch_(table.family) {}

  NftBatch& batch() { return batch_; }

  void AddSkeleton() {
    batch_.AddTable(name_);
    batch_.DeleteTable(name_);
    batch_.AddTable(name_);
    const NftType address = AddressTypeOf(table_.family);
    for (PolicyDirection direction : kPolicyDirections) {
      NftSet pods;
      pods.name = MapName(direction);
      pods.key = {address};
      pods.verdicts = true;
      batch_.AddSet(name_, pods);
    }
    NftSet self;
    self.name = "self";
    self.key = {address, address};
    batch_.AddSet(name_, self);
    AddHook("egress", NftHook::kForward, PolicyDirection::kEgress);
    AddHook("egress-node", NftHook::kInput, PolicyDirection::kEgress);
    AddHook("ingress", NftHook::kForward, PolicyDirection::kIngress);
  }

  void AddSet(const std::string& set, PolicySet::Kind kind) {
    const NftType address = AddressTypeOf(table_.family);
    NftSet made;
    made.name = set;
    switch (kind) {
      case PolicySet::Kind::kAddresses:
        made.key = {address};
        break;
      case PolicySet::Kind::kAddressRanges:
        made.key = {address};
        made.interval = true;
        break;
      case PolicySet::Kind::kPorts:
        made.key = {NftType::kProtocol, NftType::kPort};
        break;
      case PolicySet::Kind::kPodPorts:
        made.key = {address, NftType::kProtocol, NftType::kPort};
        break;
    }
    batch_.AddSet(name_, made);
    table_.sets.insert(set);
  }

  void ChangeElements(const std::string& set, PolicySet::Kind kind,
                      const std::set<PolicyElement>& removed,
                      const std::set<PolicyElement>& added) {
    batch_.DeleteElements(name_, set, Elements(kind, removed));
    batch_.AddElements(name_, set, Elements(kind, added));
  }

  // Chains come before the rules that lead to them.
  void AddChain(const std::string& chain, std::set<std::string>* known) {
    if (known->insert(chain).second) batch_.AddChain(name_, chain);
  }

  void FillPolicyChain(const std::string& chain, const std::vector<PolicyMatch>& matches) {
    const PolicyDirection direction =
        chain.starts_with("in/") ? PolicyDirection::kIngress : PolicyDirection::kEgress;
    batch_.DeleteRules(name_, chain);
    for (const PolicyMatch& match : matches) {
      if (table_.family == NftFamily::kIp ? !match.v4 : !match.v6) continue;
      NftRule rule(table_.family);
      if (!match.peers.empty()) rule.LoadConnection(PeerOf(direction), 0).InSet(match.peers, 0);
      if (!match.ports.empty()) {
        int reg = 0;
        if (match.pod_ports) {
          rule.LoadConnection(Connection::kServer, 0);
          reg = RegistersOf(AddressTypeOf(table_.family));
        }
        rule.LoadConnection(Connection::kProtocol, reg)
            .LoadConnection(Connection::kServerPort, reg + 1)
            .InSet(match.ports, 0);
      } else if (match.range) {
        const PortRange& range = *match.range;
        rule.LoadConnection(Connection::kProtocol, 0).Equals(0, {&range.protocol, 1});
        if (range.first > 0 || range.last < 65535)
          rule.LoadConnection(Connection::kServerPort, 0).PortBetween(0, range.first, range.last);
      }
      rule.Accept();
      batch_.AddRule(name_, chain, rule);
    }
  }

  void FillPodChain(const std::string& chain, const std::vector<std::string>& policies) {
    batch_.DeleteRules(name_, chain);
    for (const std::string& policy : policies) {
      NftRule jump(table_.family);
      jump.Jump(policy);
      batch_.AddRule(name_, chain, jump);
    }
    NftRule self(table_.family);
    self.LoadConnection(Connection::kClient, 0)
        .LoadConnection(Connection::kServer, RegistersOf(AddressTypeOf(table_.family)))
        .InSet("self", 0)
        .Accept();
    batch_.AddRule(name_, chain, self);
    NftRule drop(table_.family);
    drop.Drop();
    batch_.AddRule(name_, chain, drop);
  }

  // Makes the maps lead where the ruleset says, for these addresses.
  void PointPods(const Ruleset& ruleset,
                 const std::set<std::pair<PolicyDirection, IpAddress>>& changed) {
    std::vector<NftElement> removed[2], added[2], self_removed, self_added;
    std::set<IpAddress> ips;
    auto guarded = [&](const IpAddress& ip) {
      return table_.pods[0].contains(ip) || table_.pods[1].contains(ip);
    };
    std::map<IpAddress, bool> before;
    for (const auto& [direction, ip] : changed) {
      if (NftFamilyOf(ip) != table_.family) continue;
      before.try_emplace(ip, guarded(ip));
      const auto index = static_cast<size_t>(direction);
      Chains& current = table_.pods[index];
      NftBytes key;
      key.Ip(ip);
      if (auto found = current.find(ip); found != current.end()) {
        removed[index].emplace_back(key, found->second);
        current.erase(found);
      }
      const Chains& wanted = ruleset.Pods(direction);
      if (auto found = wanted.find(ip); found != wanted.end()) {
        added[index].emplace_back(key, found->second);
        current.insert(*found);
      }
    }
    for (const auto& [ip, was] : before) {
      const bool is = guarded(ip);
      if (was && !is) self_removed.push_back(SelfElement(ip));
      if (is && !was) self_added.push_back(SelfElement(ip));
    }
    batch_.DeleteElements(name_, "self", self_removed);
    batch_.AddElements(name_, "self", self_added);
    for (PolicyDirection direction : kPolicyDirections) {
      const auto index = static_cast<size_t>(direction);
      batch_.DeleteElements(name_, MapName(direction), removed[index]);
      batch_.AddElements(name_, MapName(direction), added[index]);
    }
  }

 private:
  void AddHook(const char* chain, NftHook hook, PolicyDirection direction) {
    const bool ingress = direction == PolicyDirection::kIngress;
    batch_.AddFilterChain(name_, chain, hook, ingress ? kIngressPriority : kEgressPriority);
    // Conntrack knows nothing of an invalid packet: the packet itself says whose it is. What
    // conntrack leaves alone (neighbour discovery) matches neither rule.
    NftRule invalid(table_.family);
    invalid.ConnectionIsInvalid()
        .LoadAddress(ingress ? Side::kDestination : Side::kSource, 0)
        .VerdictMap(MapName(direction), 0);
    batch_.AddRule(name_, chain, invalid);
    NftRule judge(table_.family);
    judge.LoadConnection(PodOf(direction), 0).VerdictMap(MapName(direction), 0);
    batch_.AddRule(name_, chain, judge);
  }

  std::vector<NftElement> Elements(PolicySet::Kind kind,
                                   const std::set<PolicyElement>& elements) const {
    std::vector<NftElement> made;
    for (const PolicyElement& element : elements) {
      if (kind != PolicySet::Kind::kPorts && NftFamilyOf(element.ip) != table_.family) continue;
      NftBytes key;
      switch (kind) {
        case PolicySet::Kind::kAddresses:
          made.emplace_back(key.Ip(element.ip));
          break;
        case PolicySet::Kind::kAddressRanges: {
          made.emplace_back(key.Ip(element.ip));
          if (std::optional<IpAddress> after = Next(element.last)) {
            NftElement end(NftBytes().Ip(*after));
            end.ends_interval = true;
            made.push_back(std::move(end));
          }
          break;
        }
        case PolicySet::Kind::kPorts:
          made.emplace_back(key.Protocol(element.protocol).Port(element.port));
          break;
        case PolicySet::Kind::kPodPorts:
          made.emplace_back(key.Ip(element.ip).Protocol(element.protocol).Port(element.port));
          break;
      }
    }
    return made;
  }

  const std::string& name_;
  Table& table_;
  NftBatch batch_;
};

PolicyRules::PolicyRules(InstanceNames names)
    : names_(std::move(names)), tables_{Table(NftFamily::kIp), Table(NftFamily::kIp6)} {}

Status PolicyRules::Open() {
  if (socket_) return Status::Ok();
  GANTRY_ASSIGN(NetlinkSocket socket, OpenNftSocket());
  socket_.emplace(std::move(socket));
  return Status::Ok();
}

Status PolicyRules::ReplaceTable(Table& table, const Ruleset& ruleset) {
  const NftFamily family = table.family;
  table = Table(family);
  Writer writer(names_.policy_table, table);
  if (!HasPodsOf(ruleset, family)) {
    GANTRY_ASSIGN(std::vector<std::string> tables, ListNftTables(*socket_, family));
    if (std::find(tables.begin(), tables.end(), names_.policy_table) == tables.end())
      return Status::Ok();
    writer.batch().DeleteTable(names_.policy_table);
    return writer.batch().Commit(*socket_);
  }
  writer.AddSkeleton();
  for (const auto& [name, set] : ruleset.sets) {
    writer.AddSet(name, set.kind);
    writer.ChangeElements(name, set.kind, {}, set.elements);
  }
  for (const auto& [chain, matches] : ruleset.policy_chains)
    writer.AddChain(chain, &table.policy_chains);
  for (const auto& [chain, policies] : ruleset.pod_chains)
    writer.AddChain(chain, &table.pod_chains);
  for (const auto& [chain, matches] : ruleset.policy_chains)
    writer.FillPolicyChain(chain, matches);
  for (const auto& [chain, policies] : ruleset.pod_chains)
    writer.FillPodChain(chain, policies);
  std::set<std::pair<PolicyDirection, IpAddress>> pods;
  for (PolicyDirection direction : kPolicyDirections) {
    for (const auto& [ip, chain] : ruleset.Pods(direction))
      pods.insert({direction, ip});
  }
  writer.PointPods(ruleset, pods);
  GANTRY_TRY(writer.batch().Commit(*socket_));
  table.there = true;
  return Status::Ok();
}

Status PolicyRules::Replace(const Ruleset& ruleset) {
  GANTRY_TRY(Open());
  for (Table& table : tables_)
    GANTRY_TRY(ReplaceTable(table, ruleset));
  return Status::Ok();
}

Status PolicyRules::Apply(const Ruleset& ruleset, const RulesetChange& change) {
  if (change.empty()) return Status::Ok();
  GANTRY_TRY(Open());
  for (Table& table : tables_) {
    const bool wanted = HasPodsOf(ruleset, table.family);
    if (!wanted && !table.there) continue;
    if (!wanted || !table.there) {
      GANTRY_TRY(ReplaceTable(table, ruleset));
      continue;
    }
    const std::string& name = names_.policy_table;
    Writer writer(name, table);
    for (const std::string& set : change.new_sets)
      writer.AddSet(set, ruleset.sets.at(set).kind);
    for (const auto& [set, elements] : change.elements)
      writer.ChangeElements(set, ruleset.sets.at(set).kind, elements.removed, elements.added);
    for (const std::string& chain : change.policy_chains) {
      if (ruleset.policy_chains.contains(chain)) writer.AddChain(chain, &table.policy_chains);
    }
    for (const std::string& chain : change.pod_chains) {
      if (ruleset.pod_chains.contains(chain)) writer.AddChain(chain, &table.pod_chains);
    }
    for (const std::string& chain : change.policy_chains) {
      auto found = ruleset.policy_chains.find(chain);
      if (found != ruleset.policy_chains.end()) writer.FillPolicyChain(chain, found->second);
    }
    for (const std::string& chain : change.pod_chains) {
      auto found = ruleset.pod_chains.find(chain);
      if (found != ruleset.pod_chains.end()) writer.FillPodChain(chain, found->second);
    }
    writer.PointPods(ruleset, change.pods);
    // From those that lead to what they lead to.
    for (const std::string& chain : change.pod_chains) {
      if (!ruleset.pod_chains.contains(chain) && table.pod_chains.erase(chain) > 0)
        writer.batch().DeleteChain(name, chain);
    }
    for (const std::string& chain : change.policy_chains) {
      if (!ruleset.policy_chains.contains(chain) && table.policy_chains.erase(chain) > 0)
        writer.batch().DeleteChain(name, chain);
    }
    for (const std::string& set : change.gone_sets) {
      if (table.sets.erase(set) > 0) writer.batch().DeleteSet(name, set);
    }
    GANTRY_TRY(writer.batch().Commit(*socket_));
  }
  return Status::Ok();
}

}  // namespace gantry::net
