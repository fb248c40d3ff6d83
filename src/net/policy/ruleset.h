#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/ip.h"
#include "net/policy/policy.h"

namespace gantry::net {

// What the policies of the pods of one node come to, in terms of sets, chains and maps: for both IP
// families at once, without any word of nf_tables (policy_rules.h writes it there).

// One element of a set; which fields count depends on the set's kind.
struct PolicyElement {
  IpAddress ip;
  IpAddress last;
  uint8_t protocol = 0;
  uint16_t port = 0;
  auto operator<=>(const PolicyElement&) const = default;
};

struct PolicySet {
  enum class Kind : uint8_t {
    kAddresses,      // ip
    kAddressRanges,  // ip to last
    kPorts,          // protocol, port
    kPodPorts,       // ip, protocol, port: of pods that give a port a certain name
  };
  Kind kind = Kind::kAddresses;
  std::set<PolicyElement> elements;
};

// A connection matches when its peer is in one set and its port in another.
struct PolicyMatch {
  std::string peers;  // a set of addresses or ranges; "": anybody
  bool v4 = true, v6 = true;
  std::string ports;  // a set of ports, or, with `pod_ports`, of ports of pods; "": see `range`
  bool pod_ports = false;
  std::optional<PortRange> range;  // none and no set: any port of any protocol
  auto operator<=>(const PolicyMatch&) const = default;
};

struct Ruleset {
  std::map<std::string, PolicySet> sets;
  // One for each policy and direction in use: what it lets pass.
  std::map<std::string, std::vector<PolicyMatch>> policy_chains;
  // One for each combination of policies that a pod has: the policies' chains. What none of them
  // lets pass is dropped.
  std::map<std::string, std::vector<std::string>> pod_chains;
  // Where the connections of the pods that policies select are judged: by the pod's address, as
  // the server's for ingress and the client's for egress.
  std::map<IpAddress, std::string> ingress, egress;

  std::map<IpAddress, std::string>& Pods(PolicyDirection direction) {
    return direction == PolicyDirection::kIngress ? ingress : egress;
  }
  const std::map<IpAddress, std::string>& Pods(PolicyDirection direction) const {
    return direction == PolicyDirection::kIngress ? ingress : egress;
  }
};

// What has become different in a ruleset. Chains and pods are named only: what they are now stands
// in the ruleset, and those that are not there are gone.
struct RulesetChange {
  struct Elements {
    std::set<PolicyElement> added, removed;
  };
  std::set<std::string> new_sets, gone_sets;
  std::map<std::string, Elements> elements;  // of old and new sets; empty for those gone
  std::set<std::string> policy_chains, pod_chains;
  std::set<std::pair<PolicyDirection, IpAddress>> pods;

  bool empty() const {
    return new_sets.empty() && gone_sets.empty() && elements.empty() && policy_chains.empty() &&
           pod_chains.empty() && pods.empty();
  }
};

}  // namespace gantry::net
