#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/selector.h"
#include "net/policy/address_range.h"

namespace gantry::api::networking::v1 {
class NetworkPolicy;
}

namespace gantry::net {

enum class PolicyDirection : uint8_t { kIngress, kEgress };
constexpr PolicyDirection kPolicyDirections[] = {PolicyDirection::kIngress,
                                                 PolicyDirection::kEgress};

struct PortRange {
  uint8_t protocol = 0;  // IPPROTO_*
  uint16_t first = 0, last = 0;
  auto operator<=>(const PortRange&) const = default;
};

// A port that each pod gives a number of its own.
struct PortName {
  uint8_t protocol = 0;
  std::string name;
  auto operator<=>(const PortName&) const = default;
};

// Pods by their labels and those of their namespaces.
struct PeerSelector {
  std::string ns;                           // the policy's own, where there is no `namespaces`
  std::optional<api::Selector> namespaces;  // with it, `ns` is empty
  api::Selector pods;

  std::string ToString() const;  // equal for equal ones
};

// What may pass: one of the peers through one of the ports.
struct PolicyRule {
  bool any_peer = false;  // then there are no peers
  std::vector<PeerSelector> selectors;
  std::vector<AddressRange> ranges;  // sorted, disjoint
  bool any_port = false;             // every protocol; then there are no ports
  std::vector<PortRange> ports;      // sorted, disjoint
  std::vector<PortName> port_names;
};

using PolicyKey = std::pair<std::string, std::string>;  // namespace, name

// A NetworkPolicy in the form that rules are made from. Threading: a value.
struct Policy {
  // What does not parse lets nothing pass.
  static Policy From(const api::networking::v1::NetworkPolicy& object);

  // The rules of a direction; null when the policy says nothing about it.
  const std::vector<PolicyRule>* Rules(PolicyDirection direction) const {
    const auto& rules = direction == PolicyDirection::kIngress ? ingress : egress;
    return rules ? &*rules : nullptr;
  }

  PolicyKey key;
  api::Selector pods;  // of the policy's namespace
  std::optional<std::vector<PolicyRule>> ingress, egress;
};

}  // namespace gantry::net
