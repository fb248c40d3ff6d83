#include "net/policy/policy_index.h"

#include <algorithm>

#include "base/check.h"
#include "net/protocol.h"

namespace gantry::net {
namespace {

namespace core = api::core::v1;

// The kernel's names have 255 characters; those of a namespace and a policy may have more together.
constexpr size_t kLongestName = 200;

size_t Index(PolicyDirection direction) { return static_cast<size_t>(direction); }

const char* Word(PolicyDirection direction) {
  return direction == PolicyDirection::kIngress ? "in" : "out";
}

PolicyElement AddressElement(const IpAddress& ip) {
  PolicyElement element;
  element.ip = ip;
  return element;
}

// Calls `each` for the numbers that a pod gives a port's name.
template <class Each>
void ForEachNumber(const core::Pod& pod, const PortName& name, Each each) {
  auto look = [&](const core::Container& container) {
    for (const auto& port : container.ports()) {
      if (port.name() == name.name && ProtocolNumber(port.protocol()) == name.protocol)
        each(static_cast<uint16_t>(port.container_port()));
    }
  };
  for (const core::Container& container : pod.spec().containers())
    look(container);
  for (const core::Container& container : pod.spec().init_containers()) {
    if (container.restart_policy() == "Always") look(container);
  }
}

std::string Text(const std::set<PolicyElement>& elements) {
  std::string text;
  for (const PolicyElement& element : elements) {
    text += element.ip.ToString() + "-" + element.last.ToString() + "/" +
            std::to_string(element.protocol) + "/" + std::to_string(element.port) + " ";
  }
  return text;
}

}  // namespace

std::string PolicyIndex::ChainName(PolicyDirection direction, const PolicyKey& key) {
  std::string name = std::string(Word(direction)) + "/" + key.first + "/" + key.second;
  if (name.size() <= kLongestName) return name;
  // FNV-1a of the whole.
  uint64_t hash = 14695981039346656037u;
  for (char c : name)
    hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211u;
  return name.substr(0, kLongestName) + "-" + std::to_string(hash);
}

bool PolicyIndex::Belongs(const PeerSelector& selector, const core::Pod& pod) const {
  const std::string& ns = pod.metadata().namespace_();
  if (selector.namespaces) {
    auto found = namespaces_.find(ns);
    if (found == namespaces_.end() || !selector.namespaces->Matches(found->second)) return false;
  } else if (selector.ns != ns) {
    return false;
  }
  return selector.pods.Matches(pod.metadata().labels());
}

bool PolicyIndex::Belongs(const Peers& peers, const core::Pod& pod) const {
  return std::any_of(peers.selectors.begin(), peers.selectors.end(),
                     [&](const PeerSelector& selector) { return Belongs(selector, pod); });
}

void PolicyIndex::NoteElement(const std::string& set, const PolicyElement& element, bool there) {
  std::set<PolicyElement>& elements = ruleset_.sets.at(set).elements;
  RulesetChange::Elements& change = change_.elements[set];
  if (there) {
    elements.insert(element);
    if (change.removed.erase(element) == 0) change.added.insert(element);
  } else {
    elements.erase(element);
    if (change.added.erase(element) == 0) change.removed.insert(element);
  }
  if (change.added.empty() && change.removed.empty()) change_.elements.erase(set);
}

template <class Member>
void PolicyIndex::Count(PodSet<Member>& pods, const Member& member, const PolicyElement& element,
                        int by) {
  int& count = pods.members[member];
  const bool was = count > 0;
  count += by;
  const bool is = count > 0;
  if (!is) pods.members.erase(member);
  if (was != is) NoteElement(pods.set, element, is);
}

void PolicyIndex::CountNames(const PolicyPod& pod, const PortName& name,
                             PodSet<PolicyElement>& ports, int by) {
  ForEachNumber(*pod.object, name, [&](uint16_t number) {
    for (const IpAddress& ip : pod.addresses) {
      PolicyElement element = AddressElement(ip);
      element.protocol = name.protocol;
      element.port = number;
      Count(ports, element, element, by);
    }
  });
}

void PolicyIndex::CountPod(const PolicyPod& pod, int by) {
  if (pod.addresses.empty()) return;
  for (auto& [key, peers] : peers_) {
    if (!Belongs(peers, *pod.object)) continue;
    for (const IpAddress& ip : pod.addresses)
      Count(peers, ip, AddressElement(ip), by);
  }
  for (auto& [name, ports] : names_)
    CountNames(pod, name, ports, by);
}

void PolicyIndex::CountNamespace(const std::string& name, int by) {
  if (peers_.empty() && names_.empty()) return;
  for (const auto& [uid, state] : pods_) {
    if (state.pod.object->metadata().namespace_() == name) CountPod(state.pod, by);
  }
}

std::string PolicyIndex::NewSet(const char* prefix, PolicySet::Kind kind) {
  std::string name = std::string(prefix) + "-" + std::to_string(next_number_++);
  ruleset_.sets[name].kind = kind;
  change_.new_sets.insert(name);
  return name;
}

void PolicyIndex::RemoveSet(const std::string& set) {
  ruleset_.sets.erase(set);
  change_.elements.erase(set);
  if (change_.new_sets.erase(set) == 0) change_.gone_sets.insert(set);
}

std::string PolicyIndex::UsePeers(const std::vector<PeerSelector>& selectors, Leans* leans) {
  std::set<std::string> texts;
  for (const PeerSelector& selector : selectors)
    texts.insert(selector.ToString());
  std::string key;
  for (const std::string& text : texts)
    key += text + "|";
  auto [found, is_new] = peers_.try_emplace(key);
  Peers& peers = found->second;
  ++peers.uses;
  leans->peers.push_back(key);
  if (is_new) {
    peers.set = NewSet("pods", PolicySet::Kind::kAddresses);
    peers.selectors = selectors;
    for (const auto& [uid, state] : pods_) {
      if (state.pod.addresses.empty() || !Belongs(peers, *state.pod.object)) continue;
      for (const IpAddress& ip : state.pod.addresses)
        Count(peers, ip, AddressElement(ip), 1);
    }
  }
  return peers.set;
}

std::string PolicyIndex::UseFixed(const char* prefix, PolicySet::Kind kind,
                                  std::set<PolicyElement> elements, Leans* leans) {
  const std::string key = std::string(prefix) + " " + Text(elements);
  auto [found, is_new] = fixed_.try_emplace(key);
  ++found->second.uses;
  leans->fixed.push_back(key);
  if (is_new) {
    found->second.set = NewSet(prefix, kind);
    for (const PolicyElement& element : elements)
      NoteElement(found->second.set, element, true);
  }
  return found->second.set;
}

std::string PolicyIndex::UseName(const PortName& name, Leans* leans) {
  auto [found, is_new] = names_.try_emplace(name);
  PodSet<PolicyElement>& ports = found->second;
  ++ports.uses;
  leans->names.push_back(name);
  if (is_new) {
    ports.set = NewSet(("port-" + name.name).c_str(), PolicySet::Kind::kPodPorts);
    for (const auto& [uid, state] : pods_)
      CountNames(state.pod, name, ports, 1);
  }
  return ports.set;
}

void PolicyIndex::Drop(const Leans& leans) {
  auto drop = [this](auto& map, const auto& key) {
    auto found = map.find(key);
    if (--found->second.uses > 0) return;
    RemoveSet(found->second.set);
    map.erase(found);
  };
  for (const std::string& key : leans.peers)
    drop(peers_, key);
  for (const std::string& key : leans.fixed)
    drop(fixed_, key);
  for (const PortName& name : leans.names)
    drop(names_, name);
}

std::vector<PolicyMatch> PolicyIndex::Matches(const PolicyRule& rule, Leans* leans) {
  std::vector<PolicyMatch> peers;
  if (rule.any_peer) peers.emplace_back();
  if (!rule.selectors.empty()) peers.emplace_back().peers = UsePeers(rule.selectors, leans);
  if (!rule.ranges.empty()) {
    PolicyMatch& match = peers.emplace_back();
    std::set<PolicyElement> elements;
    for (const AddressRange& range : rule.ranges) {
      PolicyElement element;
      element.ip = range.first;
      element.last = range.last;
      elements.insert(element);
    }
    match.v4 = rule.ranges.front().first.is_v4();  // sorted: IPv4 comes first
    match.v6 = rule.ranges.back().first.is_v6();
    match.peers = UseFixed("ranges", PolicySet::Kind::kAddressRanges, std::move(elements), leans);
  }

  std::vector<PolicyMatch> ports;
  if (rule.any_port) ports.emplace_back();
  std::set<PolicyElement> single;
  for (const PortRange& range : rule.ports) {
    if (range.first != range.last) {
      ports.emplace_back().range = range;
      continue;
    }
    PolicyElement element;
    element.protocol = range.protocol;
    element.port = range.first;
    single.insert(element);
  }
  if (single.size() == 1) {
    const PolicyElement& only = *single.begin();
    ports.emplace_back().range = PortRange{only.protocol, only.port, only.port};
  } else if (!single.empty()) {
    ports.emplace_back().ports =
        UseFixed("ports", PolicySet::Kind::kPorts, std::move(single), leans);
  }
  for (const PortName& name : rule.port_names) {
    PolicyMatch& match = ports.emplace_back();
    match.ports = UseName(name, leans);
    match.pod_ports = true;
  }

  std::vector<PolicyMatch> matches;
  for (const PolicyMatch& peer : peers) {
    for (PolicyMatch match : ports) {
      match.peers = peer.peers;
      match.v4 = peer.v4;
      match.v6 = peer.v6;
      matches.push_back(std::move(match));
    }
  }
  return matches;
}

void PolicyIndex::BuildPolicyChain(PolicyDirection direction, PolicyState& state) {
  DirectionState& here = state.directions[Index(direction)];
  // What is still needed is not dropped in between.
  Leans before = std::move(here.leans);
  here.leans = {};
  std::vector<PolicyMatch> matches;
  for (const PolicyRule& rule : *state.policy.Rules(direction)) {
    for (PolicyMatch& match : Matches(rule, &here.leans)) {
      if (std::find(matches.begin(), matches.end(), match) == matches.end())
        matches.push_back(std::move(match));
    }
  }
  Drop(before);
  const std::string name = ChainName(direction, state.policy.key);
  auto [found, is_new] = ruleset_.policy_chains.try_emplace(name);
  if (!is_new && found->second == matches) return;
  found->second = std::move(matches);
  change_.policy_chains.insert(name);
}

void PolicyIndex::UsePolicy(PolicyDirection direction, const PolicyKey& key) {
  PolicyState& state = policies_.at(key);
  if (state.directions[Index(direction)].pods++ == 0) BuildPolicyChain(direction, state);
}

void PolicyIndex::DropPolicy(PolicyDirection direction, const PolicyKey& key) {
  PolicyState& state = policies_.at(key);
  DirectionState& here = state.directions[Index(direction)];
  if (--here.pods > 0) return;
  Drop(here.leans);
  here.leans = {};
  const std::string name = ChainName(direction, key);
  ruleset_.policy_chains.erase(name);
  change_.policy_chains.insert(name);
}

std::string PolicyIndex::UsePodChain(PolicyDirection direction, const PolicyKeys& keys) {
  auto [found, is_new] = pod_chains_.try_emplace({direction, keys});
  PodChain& chain = found->second;
  ++chain.uses;
  if (is_new) {
    chain.chain = "pods-" + std::string(Word(direction)) + "-" + std::to_string(next_number_++);
    std::vector<std::string>& content = ruleset_.pod_chains[chain.chain];
    for (const PolicyKey& key : keys)
      content.push_back(ChainName(direction, key));
    change_.pod_chains.insert(chain.chain);
  }
  return chain.chain;
}

void PolicyIndex::DropPodChain(PolicyDirection direction, const PolicyKeys& keys) {
  auto found = pod_chains_.find({direction, keys});
  if (--found->second.uses > 0) return;
  ruleset_.pod_chains.erase(found->second.chain);
  change_.pod_chains.insert(found->second.chain);
  pod_chains_.erase(found);
}

PolicyIndex::PolicyKeys PolicyIndex::Selecting(PolicyDirection direction,
                                               const PolicyPod& pod) const {
  PolicyKeys keys;
  const auto& meta = pod.object->metadata();
  for (auto it = policies_.lower_bound({meta.namespace_(), ""});
       it != policies_.end() && it->first.first == meta.namespace_(); ++it) {
    const Policy& policy = it->second.policy;
    if (policy.Rules(direction) != nullptr && policy.pods.Matches(meta.labels()))
      keys.push_back(it->first);
  }
  return keys;
}

void PolicyIndex::PointPod(PolicyDirection direction, const std::string& uid, const IpAddress& ip,
                           const std::string& chain) {
  auto owner = owners_.find({direction, ip});
  if (chain.empty()) {
    // The address may have gone on to another pod.
    if (owner == owners_.end() || owner->second != uid) return;
    owners_.erase(owner);
    ruleset_.Pods(direction).erase(ip);
    change_.pods.insert({direction, ip});
    return;
  }
  owners_[{direction, ip}] = uid;
  std::string& now = ruleset_.Pods(direction)[ip];
  if (now == chain) return;
  now = chain;
  change_.pods.insert({direction, ip});
}

void PolicyIndex::SetChains(const std::string& uid, PodState& state, PolicyDirection direction,
                            PolicyKeys wanted) {
  PolicyKeys& current = state.policies[Index(direction)];
  if (wanted == current) {
    const std::string& chain = pod_chains_.at({direction, current}).chain;
    for (const IpAddress& ip : state.pod.addresses)
      PointPod(direction, uid, ip, chain);
    return;
  }
  // First what comes, then what goes, so that what both have is not made anew.
  for (const PolicyKey& key : wanted)
    UsePolicy(direction, key);
  std::string chain;
  if (!wanted.empty()) chain = UsePodChain(direction, wanted);
  for (const IpAddress& ip : state.pod.addresses)
    PointPod(direction, uid, ip, chain);
  if (!current.empty()) DropPodChain(direction, current);
  for (const PolicyKey& key : current)
    DropPolicy(direction, key);
  current = std::move(wanted);
}

void PolicyIndex::Guard(const std::string& uid, PodState& state) {
  for (PolicyDirection direction : kPolicyDirections) {
    PolicyKeys wanted;
    if (state.pod.here && !state.pod.addresses.empty()) wanted = Selecting(direction, state.pod);
    if (wanted.empty() && state.policies[Index(direction)].empty()) continue;
    SetChains(uid, state, direction, std::move(wanted));
  }
}

void PolicyIndex::GuardNamespace(const std::string& ns) {
  for (const std::string& uid : here_) {
    PodState& state = pods_.at(uid);
    if (state.pod.object->metadata().namespace_() == ns) Guard(uid, state);
  }
}

void PolicyIndex::SetPolicy(Policy policy) {
  const PolicyKey key = policy.key;
  PolicyState& state = policies_[key];
  state.policy = std::move(policy);
  for (PolicyDirection direction : kPolicyDirections) {
    if (state.directions[Index(direction)].pods > 0 && state.policy.Rules(direction) != nullptr)
      BuildPolicyChain(direction, state);
  }
  GuardNamespace(key.first);
}

void PolicyIndex::RemovePolicy(const PolicyKey& key) {
  auto found = policies_.find(key);
  if (found == policies_.end()) return;
  // Without rules in any direction it selects nobody.
  found->second.policy.ingress.reset();
  found->second.policy.egress.reset();
  GuardNamespace(key.first);
  policies_.erase(found);
}

void PolicyIndex::SetNamespace(const std::string& name, const api::LabelMap& labels) {
  CountNamespace(name, -1);
  namespaces_[name] = labels;
  CountNamespace(name, 1);
}

void PolicyIndex::RemoveNamespace(const std::string& name) {
  CountNamespace(name, -1);
  namespaces_.erase(name);
  CountNamespace(name, 1);
}

void PolicyIndex::SetPod(const std::string& uid, PolicyPod pod) {
  GANTRY_CHECK(pod.object, "a pod without an object");
  auto [found, is_new] = pods_.try_emplace(uid);
  PodState& state = found->second;
  if (!is_new) {
    CountPod(state.pod, -1);
    // Addresses that it no longer has.
    for (PolicyDirection direction : kPolicyDirections) {
      for (const IpAddress& ip : state.pod.addresses) {
        if (std::find(pod.addresses.begin(), pod.addresses.end(), ip) == pod.addresses.end())
          PointPod(direction, uid, ip, "");
      }
    }
  }
  state.pod = std::move(pod);
  CountPod(state.pod, 1);
  if (state.pod.here) {
    here_.insert(uid);
  } else {
    here_.erase(uid);
  }
  Guard(uid, state);
}

void PolicyIndex::RemovePod(const std::string& uid) {
  auto found = pods_.find(uid);
  if (found == pods_.end()) return;
  CountPod(found->second.pod, -1);
  found->second.pod.here = false;
  Guard(uid, found->second);
  here_.erase(uid);
  pods_.erase(found);
}

const PolicyPod* PolicyIndex::FindPod(const std::string& uid) const {
  auto found = pods_.find(uid);
  return found == pods_.end() ? nullptr : &found->second.pod;
}

RulesetChange PolicyIndex::TakeChange() {
  RulesetChange taken = std::move(change_);
  change_ = {};
  return taken;
}

}  // namespace gantry::net
